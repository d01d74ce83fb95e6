"""Which trainings, reports, snapshots and evidence packs nothing needs any more, and why the others stay."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from windsock.deployment.retention_needs import Needs, needs_of
from windsock.ports import Ports
from windsock.records import LedgerView
from windsock.records.retention import Kind, RetentionPolicy, StoredThing, TrackedRun

REPORT_KEY = "drift:"
"""How the key of a drift report's run begins; model and the bundle's first digits follow."""
FOR_EVER = "kept for ever by the policy"
YOUNG = "younger than the policy removes"
OF_A_VERSION = "of a version, a rollout or a question, by the ledger"
UNDER_WAY = "a retrain of the model is under way"
OF_A_TRAINING = "a training that is kept was made of it"
LATEST = "the newest snapshot"
NAMED = "the ledger names it"
OPEN = "the run has not ended"
EPISODE = "an episode of drift is open"
FOREIGN = "not made by this installation"
NO_ROW = "WS-HOUSEKEEPING-005: the ledger has no row of the model"
NOT_WHOLE = "WS-HOUSEKEEPING-005: the ledger of the model is not whole"


@dataclass(frozen=True, kw_only=True)
class Removal:
    """One thing that goes, with all that is part of it.

    :param keys: of the steps that made it: their records are forgotten first.
    :param runs: tracking runs, those that say least about themselves first.
    :param things: what lies in the storage root.
    :param made_at: of its youngest part; ``None``: its removal was begun before.
    """

    kind: Kind
    model: str
    name: str
    days: float
    made_at: datetime | None
    keys: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    things: tuple[StoredThing, ...] = ()


@dataclass
class Plan:
    """What goes, and of what stays how much for which reason."""

    removals: list[Removal] = field(default_factory=list)
    kept: Counter[tuple[Kind, str]] = field(default_factory=Counter)

    def keep(self, kind: Kind, why: str, count: int = 1) -> None:
        """Count what stays."""
        self.kept[kind, why] += count

    def decide(self, removal: Removal, why: str, oldest: datetime) -> None:
        """Let a thing go unless there is a reason to keep it, or it is too young.

        :param why: the reason; empty if there is none.
        :param oldest: what is younger stays.
        """
        if removal.made_at is not None and removal.made_at >= oldest:
            self.keep(removal.kind, why or YOUNG)
        elif why:
            self.keep(removal.kind, why)
        else:
            self.removals.append(removal)


def is_retrained(ports: Ports, model: str, now: datetime) -> bool:
    """Return whether somebody retrains a model now."""
    lease = ports.monitor.lease(model)
    return lease is not None and not lease.is_over(now)


def plan_retention(policy: RetentionPolicy, ports: Ports, model: str, now: datetime) -> Plan:
    """Say what of a model nothing needs any more. Nothing is changed.

    :raises WindsockError: if ledger, storage or MLflow does not answer: nothing is removed then.
    """
    plan, view = Plan(), ports.ledger.read(model)
    if fault := _fault_in_ledger(view):
        plan.keep("trainings", fault)
        return plan
    needs = needs_of(view.rows)
    one = _Model(policy=policy, ports=ports, model=model, now=now, needs=needs, plan=plan)
    one.trainings_and_reports()
    one.snapshots()
    one.evidence()
    return plan


def _fault_in_ledger(view: LedgerView) -> str:
    """Return why a ledger cannot say what is needed: a database that was lost knows no champion either."""
    if view.unseen or not view.is_whole:
        return NOT_WHOLE
    return "" if view.rows else NO_ROW


@dataclass(kw_only=True)
class _Model:
    policy: RetentionPolicy
    ports: Ports
    model: str
    now: datetime
    needs: Needs
    plan: Plan

    def trainings_and_reports(self) -> None:
        """Plan runs of MLflow with the bundles that belong to them, and bundles without a run."""
        if not (self.policy.trainings or self.policy.reports):
            self.plan.keep("trainings", FOR_EVER)
            self.plan.keep("reports", FOR_EVER)
            return
        bundles = {one.name: one for one in self.ports.kept.things("bundles", self.model)}
        under_way = is_retrained(self.ports, self.model, self.now)
        waits = self._has_episode()
        for family in families(self.ports.tracker.tracked_runs(self.model)):
            if all(run.key.startswith(REPORT_KEY) for run in family):
                self._report(family, waits)
            else:
                self._training(family, bundles, under_way)
        for thing in bundles.values():
            self._decide_training((), (thing,), under_way)

    def _report(self, family: Sequence[TrackedRun], waits: bool) -> None:
        digest = family[0].key.split(":")[2] if family[0].key.count(":") > 1 else ""
        own = bool(digest) and any(known.startswith(digest) for known in self.needs.digests)
        if not (own or any(run.being_removed for run in family)):
            why = FOREIGN
        elif any(run.run_id in self.needs.words for run in family):
            why = OF_A_VERSION
        else:
            why = EPISODE if waits else self._why_open(family)
        self._decide("reports", self.policy.reports, why, family, ())

    def _training(self, family: Sequence[TrackedRun], bundles: dict[str, StoredThing], busy: bool) -> None:
        """Plan a family of runs; the bundles that are part of it are taken out of those given."""
        named = {run.run_id: self.ports.kept.bundle_name(run.bundle_uri) for run in family}
        names = {name for run in family for name in (named[run.run_id], run.key) if name}
        things = tuple(bundles.pop(name) for name in sorted(names & bundles.keys()))
        if not (things or any(named.values()) or any(run.being_removed for run in family)):
            self._decide("trainings", self.policy.trainings, FOREIGN, family, ())
            return
        if any(run.run_id in self.needs.words for run in family) or names & self.needs.bundle_names:
            self._decide("trainings", self.policy.trainings, OF_A_VERSION, family, things)
            return
        last = sorted(family, key=lambda run: (bool(named[run.run_id]), run.run_id))
        self._decide_training(last, things, busy)

    def _decide_training(
        self, family: Sequence[TrackedRun], things: tuple[StoredThing, ...], busy: bool
    ) -> None:
        if any(self.needs.has_bundle(thing) for thing in things):
            why = OF_A_VERSION
        else:
            why = UNDER_WAY if busy else self._why_open(family)
        self._decide("trainings", self.policy.trainings, why, family, things)

    def snapshots(self) -> None:
        """Plan snapshots; those of bundles that are there stay, of those that go now up to the next time."""
        days = self.policy.snapshots
        if not days:
            self.plan.keep("snapshots", FOR_EVER)
            return
        used = {thing.snapshot for thing in self.ports.kept.things("bundles", self.model)}
        latest = self.ports.snapshots.latest(self.model)
        busy = is_retrained(self.ports, self.model, self.now)
        for thing in self.ports.kept.things("snapshots", self.model):
            reasons = {
                OF_A_VERSION: thing.name in self.needs.words,
                OF_A_TRAINING: thing.name in used,
                LATEST: latest is not None and latest.digest == thing.name,
                UNDER_WAY: busy,
            }
            why = next((reason for reason, holds in reasons.items() if holds), "")
            self._decide("snapshots", days, why, (), (thing,))

    def evidence(self) -> None:
        """Plan evidence packs that no row names, such as one of a gate that was killed before its row."""
        days = self.policy.evidence
        if not days:
            self.plan.keep("evidence", FOR_EVER)
            return
        named = self.needs.packs
        self.plan.keep("evidence", NAMED, len(named))
        for thing in self.ports.kept.things("evidence", self.model, leave=named):
            why = OF_A_VERSION if thing.digest in self.needs.words else ""
            self._decide("evidence", days, why, (), (thing,))

    def _has_episode(self) -> bool:
        return any(one.closed_at is None for one in self.ports.monitor.episodes(self.model))

    @staticmethod
    def _why_open(family: Iterable[TrackedRun]) -> str:
        return OPEN if any(run.is_open for run in family) else ""

    def _decide(
        self,
        kind: Kind,
        days: float,
        why: str,
        runs: Sequence[TrackedRun],
        things: tuple[StoredThing, ...],
    ) -> None:
        made = [run.begun_at for run in runs] + [one.made_at for one in things if one.made_at is not None]
        removal = Removal(
            kind=kind,
            model=self.model,
            name=things[0].name if things else runs[-1].key or runs[-1].run_id,
            days=days,
            made_at=max(made, default=None),
            keys=tuple(sorted(_keys(runs, things))) if kind == "trainings" else (),
            runs=tuple(run.run_id for run in runs),
            things=things,
        )
        if days:
            self.plan.decide(removal, why, self.now - timedelta(days=days))
        else:
            self.plan.keep(kind, why or FOR_EVER)


def _keys(runs: Iterable[TrackedRun], things: Iterable[StoredThing]) -> set[str]:
    return {run.key for run in runs if run.key} | {thing.name for thing in things}


def families(runs: Iterable[TrackedRun]) -> list[tuple[TrackedRun, ...]]:
    """Return runs by the training that they belong to, such as trials by their candidate; most stand alone.

    The run of a retrain goes with its candidate, where it has one; above several, which may be of a version,
    it stays: nothing is stored with it.
    """
    known = {run.run_id: run for run in runs}
    candidates = Counter(run.parent for run in known.values() if run.bundle_uri)
    found: dict[str, list[TrackedRun]] = defaultdict(list)
    for run in known.values():
        found[_top(run, known.get, candidates)].append(run)
    return [tuple(family) for family in found.values()]


def _top(run: TrackedRun, find: Callable[[str], TrackedRun | None], candidates: Mapping[str, int]) -> str:
    seen = {run.run_id}
    while run.parent and run.parent not in seen and not (run.bundle_uri and candidates[run.parent] > 1):
        seen.add(run.parent)
        parent = find(run.parent)
        if parent is None:
            return run.parent
        run = parent
    return run.run_id


__all__ = ["Plan", "Removal", "families", "is_retrained", "plan_retention"]
