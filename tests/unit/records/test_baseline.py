from __future__ import annotations

from datetime import timedelta
from typing import Any

from support.builders import NOON, digest
from support.performance import metric
from windsock.records import LedgerAction, LedgerRow, baseline_of, better_than_broken_of

ONSET = "2026-03-01T00:00:00+00:00"


def kept(**values: float) -> list[dict[str, Any]]:
    """Return metrics as a row keeps them."""
    return [metric(name, value).model_dump(mode="json") for name, value in values.items()]


def row(
    seq: int, version: int, action: str = "commit", *, actor: str = "scheduler", **body: Any
) -> LedgerRow:
    return LedgerRow(
        model="churn",
        action=LedgerAction(action),
        epoch=seq,
        version=str(version),
        digest=digest(f"{version:x}"),
        actor=actor,
        body={"bundle_uri": f"memory://{version}", **body},
        seq=seq,
        at=NOON + seq * timedelta(days=1),
        previous=digest("0"),
    )


def values(*rows: LedgerRow) -> dict[str, float | None]:
    found = baseline_of(rows)
    return {one.name: one.value for one in found.metrics} if found else {}


class TestBaseline:
    def test_it_begins_with_the_first_champion(self) -> None:
        found = baseline_of([row(1, 1, baseline=kept(roc_auc=0.8))])
        assert found is not None
        assert (found.version, found.digest, found.by) == ("1", digest("1"), None)
        assert found.at == NOON + timedelta(days=1)
        assert found.metric("roc_auc") == metric("roc_auc", 0.8)
        assert found.metric("rmse") is None

    def test_ledgers_of_before_have_none(self) -> None:
        assert baseline_of([]) is None
        assert baseline_of([row(1, 1), row(2, 2)]) is None

    def test_an_intent_alone_is_none(self) -> None:
        assert baseline_of([row(1, 1, "intend", baseline=kept(roc_auc=0.8))]) is None

    def test_it_rises_and_does_not_fall_with_versions(self) -> None:
        first, worse = row(1, 1, baseline=kept(roc_auc=0.8)), row(2, 2, baseline=kept(roc_auc=0.7))
        assert values(first, worse) == {"roc_auc": 0.8}
        assert values(first, worse, row(3, 3, baseline=kept(roc_auc=0.81))) == {"roc_auc": 0.81}

    def test_each_metric_rises_by_itself_and_names_where_it_came_from(self) -> None:
        rows = [
            row(1, 1, baseline=kept(roc_auc=0.8, log_loss=0.4)),
            row(2, 2, baseline=kept(roc_auc=0.9, log_loss=0.5)),
            row(3, 3, baseline=kept(roc_auc=0.7, log_loss=0.3, f1=0.2)),
        ]
        assert values(*rows) == {"roc_auc": 0.9, "log_loss": 0.3, "f1": 0.2}
        versions = {name: baseline_of(rows, name) for name in ("roc_auc", "log_loss", "f1")}
        assert {name: one and one.version for name, one in versions.items()} == {
            "roc_auc": "2",
            "log_loss": "3",
            "f1": "3",
        }

    def test_a_value_without_an_interval_never_outranks_one_with(self) -> None:
        bare = [{"name": "roc_auc", "value": 1.0, "n": 20}]
        first, second = row(1, 1, baseline=bare), row(2, 2, baseline=kept(roc_auc=0.9))
        assert values(first) == {"roc_auc": 1.0}
        assert values(first, second) == {"roc_auc": 0.9}
        assert values(second, row(3, 3, baseline=bare)) == {"roc_auc": 0.9}

    def test_promotions_during_a_loss_and_roll_backs_do_not_move_it(self) -> None:
        rows = [
            row(1, 1, baseline=kept(roc_auc=0.8)),
            row(2, 2, better_than_broken=ONSET),
            row(3, 1, rolled_back=digest("2"), rolled_back_version="2"),
        ]
        assert values(*rows) == {"roc_auc": 0.8}

    def test_a_person_lowers_it(self) -> None:
        accepted = row(2, 1, "accept_loss", actor="alice", metrics=kept(roc_auc=0.6), window={})
        found = baseline_of([row(1, 1, baseline=kept(roc_auc=0.8, f1=0.5)), accepted])
        assert found is not None
        assert (found.by, found.version, found.metrics) == ("alice", "1", (metric("roc_auc", 0.6),))

    def test_it_rises_again_from_what_a_person_accepted(self) -> None:
        accepted = row(2, 1, "accept_loss", metrics=kept(roc_auc=0.6), window={})
        rows = [row(1, 1, baseline=kept(roc_auc=0.8)), accepted, row(3, 2, baseline=kept(roc_auc=0.7))]
        found = baseline_of(rows, "roc_auc")
        assert found is not None
        assert (found.version, found.by, found.metric("roc_auc")) == ("2", None, metric("roc_auc", 0.7))

    def test_a_promotion_may_write_down_what_was_asked_before(self) -> None:
        rows = [
            row(1, 1),
            row(2, 2, baseline=kept(roc_auc=0.8), baseline_digest=digest("1"), better_than_broken=ONSET),
        ]
        found = baseline_of(rows)
        assert found is not None
        assert (found.version, found.digest) == ("1", digest("1"))

    def test_a_metric_of_a_package_that_is_gone_stays_as_it_is(self) -> None:
        first, second = row(1, 1, baseline=kept(profit=5.0)), row(2, 2, baseline=kept(profit=9.0))
        assert values(first, second) == {"profit": 5.0}


class TestBetterThanBroken:
    def test_it_is_of_the_version_that_serves(self) -> None:
        assert better_than_broken_of([]) is None
        assert better_than_broken_of([row(1, 1)]) is None
        found = better_than_broken_of([row(1, 1), row(2, 2, better_than_broken=ONSET)])
        assert found is not None
        assert (found.version, found.serves_since) == ("2", NOON + timedelta(days=2))
        assert found.lost_since.isoformat() == ONSET

    def test_a_later_promotion_in_quiet_ends_it(self) -> None:
        rows = [row(1, 1), row(2, 2, better_than_broken=ONSET), row(3, 3)]
        assert better_than_broken_of(rows) is None

    def test_the_order_of_the_rows_decides_and_no_clock(self) -> None:
        lost = row(2, 2, better_than_broken=ONSET)
        accepted = row(3, 2, "accept_loss", metrics=kept(roc_auc=0.6), window={})
        late = timedelta(days=30)
        assert better_than_broken_of([row(1, 1), lost, accepted]) is None
        assert better_than_broken_of([row(1, 1), lost.replace(at=lost.at + late), accepted]) is None
        again = row(4, 3, better_than_broken=ONSET)
        found = better_than_broken_of([row(1, 1), lost, accepted.replace(at=accepted.at + late), again])
        assert found is not None
        assert found.version == "3"

    def test_a_roll_back_to_it_leaves_it_what_it_is(self) -> None:
        back = row(4, 2, rolled_back=digest("3"), rolled_back_version="3")
        rows = [row(1, 1), row(2, 2, better_than_broken=ONSET), row(3, 3), back]
        found = better_than_broken_of(rows)
        assert found is not None
        assert found.version == "2"
        assert better_than_broken_of([*rows, row(5, 1, rolled_back=digest("2"))]) is None
