"""Builders of windows and episodes, and the monitors that keep them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from support.builders import NOON, digest, make_spec
from support.fakes import FakeBundles, FakeLedger
from support.performance import SCHEMA
from windsock import records as r
from windsock.ports import LoadedBundle
from windsock.spec import ModelSpec

DAY = timedelta(days=1)
MIDNIGHT = NOON.replace(hour=0)
"""Windows of a day end at midnight; this one is the first of all."""
LATER = timedelta(minutes=1)


def make_window(number: int = 1, status: str = "fail", **fields: Any) -> r.WindowVerdict:
    """Return the verdict of the day that ends ``number`` days after :data:`MIDNIGHT`."""
    end = MIDNIGHT + number * DAY
    made: dict[str, Any] = {
        "model": "churn",
        "kind": "drift",
        "window": r.Span(start=end - DAY, end=end),
        "version": "1",
        "digest": digest("a"),
        "status": status,
        "judged_at": end + LATER,
    }
    return r.WindowVerdict(**{**made, **fields})


def make_windows(words: str, **fields: Any) -> list[r.WindowVerdict]:
    """Return a day's verdict for each letter: b(ad), g(ood), i(nsufficient), e(rror), - for none."""
    statuses = {"b": "fail", "g": "pass", "i": "insufficient", "e": "error"}
    return [
        make_window(number, statuses[letter], **fields)
        for number, letter in enumerate(words, start=1)
        if letter != "-"
    ]


def make_episode(key: str = "one", **fields: Any) -> r.Episode:
    """Return an episode as it is when it was announced for days 1 and 2."""
    made: dict[str, Any] = {
        "model": "churn",
        "key": key,
        "digest": digest("a"),
        "trigger": "drift",
        "span": r.Span(start=MIDNIGHT, end=MIDNIGHT + 2 * DAY),
        "opened_at": MIDNIGHT + 2 * DAY + LATER,
    }
    return r.Episode(**{**made, **fields})


def make_closed(
    key: str, at: datetime, outcome: str = "kept", *, claimed: datetime | None = None, **fields: Any
) -> r.Episode:
    """Return an episode that was claimed and closed again."""
    begun = claimed or at
    return make_episode(
        key,
        **{
            "state": "closed",
            "claimed_by": f"churn__drift_retrain/{key}",
            "claimed_at": begun,
            "closed_at": at,
            "outcome": outcome,
            "opened_at": begun,
            "span": r.Span(start=begun - DAY, end=begun),
            **fields,
        },
    )


def policy_spec(**retrain: Any) -> ModelSpec:
    """Return a spec whose trigger policy differs in what is named."""
    return make_spec(monitoring={"retrain": retrain})


class AnyBundle(FakeBundles):
    """Has a bundle of every digest: a model of two classes.

    :param profile: of each.
    """

    def __init__(self, profile: r.DriftProfile | None = None) -> None:
        super().__init__()
        self.profile = profile

    def load(self, uri: str, digest: str) -> LoadedBundle:
        manifest = r.BundleManifest(
            model="churn",
            key="one",
            snapshot_digest="c" * 64,
            spec_digest="d" * 64,
            files={"model.skops": "e" * 64},
            versions={},
            facts={},
            created_at=MIDNIGHT,
        )
        golden = r.GoldenPredictions(rows=({},), scores=((0.5,),))
        return LoadedBundle(
            manifest=manifest,
            digest=digest,
            pipeline=None,
            schema=SCHEMA,
            golden=golden,
            profile=self.profile,
        )


def run_of(claim: r.RetrainClaim) -> r.RunContext:
    """Return the run that holds a claim."""
    dag_id, _, run_id = claim.holder.partition("/")
    return r.RunContext(dag_id=dag_id, run_id=run_id)


def claim_input(
    run_id: str | None = "run1", key: str | None = "one", **retrain: object
) -> r.ClaimRetrainInput:
    """Return what a run of the retrain DAG asks."""
    return r.ClaimRetrainInput(
        spec=policy_spec(**retrain),
        episode_key=key,
        run=r.RunContext(dag_id="churn__drift_retrain", run_id=run_id),
    )


def promote(ledger: FakeLedger, version: str, bundle: str) -> None:
    """Let a version serve."""
    write(ledger, r.LedgerAction.COMMIT, version, bundle)


def write(ledger: FakeLedger, action: r.LedgerAction, version: str, bundle: str, **body: object) -> None:
    """Write a row of the ledger."""
    ledger.append(
        r.LedgerEntry(
            model="churn",
            action=action,
            epoch=int(version),
            version=version,
            digest=bundle,
            actor="scheduler",
            body={"bundle_uri": "memory://", **body},
        ),
        after_seq=len(ledger.rows("churn")),
    )
