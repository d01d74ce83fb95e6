"""The accepted baseline: what a model's performance is held against, by the ledger's rows alone.

It begins with the first champion's metrics on held-out rows, rises to those of each version that was proved
better while all was well, and falls only where a person accepts a loss. Promotions during a loss do not move
it, nor do roll backs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from windsock.exceptions import SpecError
from windsock.records.base import Digest, MetricValue, Moment, Record
from windsock.records.ledger import LedgerAction, LedgerRow, champion_of, taken_by
from windsock.spec import metric_facts


class Baseline(Record):
    """What is asked of a model's answers.

    :param version: the version that set it, or raised it last.
    :param digest: its bundle.
    :param metrics: the best accepted value of each metric, with its interval.
    :param at: since when it is asked.
    :param by: the person who accepted a loss; ``None``: it was measured on held-out rows.
    """

    version: str
    digest: Digest
    metrics: tuple[MetricValue, ...]
    at: Moment
    by: str | None = None

    def metric(self, name: str) -> MetricValue | None:
        """Return a metric by name, or ``None``."""
        return next((metric for metric in self.metrics if metric.name == name), None)


class BetterThanBroken(Record):
    """A version that serves since it beat a champion whose performance was lost: no recovery.

    :param serves_since: when it was promoted.
    :param lost_since: since when performance has been lost.
    """

    version: str
    digest: Digest
    serves_since: Moment
    lost_since: Moment


def baseline_of(rows: Sequence[LedgerRow], metric: str | None = None) -> Baseline | None:
    """Return the accepted baseline by a model's rows; ``None`` where none was ever written.

    Each metric has its best value; one without an interval never outranks one with.
    Ledgers of before have no baseline until the next promotion.

    :param metric: version, date and person are those by which this metric came; default: the last of all.
    """
    found: Baseline | None = None
    for row, given in _given(rows):
        if row.action is LedgerAction.ACCEPT_LOSS:
            found = given
            continue
        known = {one.name: one for one in found.metrics} if found else {}
        better = {one.name: one for one in given.metrics if _is_better(one, known.get(one.name))}
        if found is None or (better if metric is None else metric in better):
            found = given.replace(metrics=tuple({**known, **better}.values()))
        elif better:
            found = found.replace(metrics=tuple({**known, **better}.values()))
    return found


def has_set_baseline(rows: Sequence[LedgerRow], digest: Digest) -> bool:
    """Return whether a version was let in with a baseline of its own: the first one, or proved in quiet."""
    return any(row.action is LedgerAction.COMMIT and given.digest == digest for row, given in _given(rows))


def _given(rows: Sequence[LedgerRow]) -> Iterator[tuple[LedgerRow, Baseline]]:
    """Yield the rows that say something of the baseline, and what."""
    for row in rows:
        accepted = row.action is LedgerAction.ACCEPT_LOSS
        told = row.body.get("metrics" if accepted else "baseline")
        if not told or row.action not in (LedgerAction.ACCEPT_LOSS, LedgerAction.COMMIT):
            continue
        metrics = tuple(MetricValue.model_validate(one) for one in told)
        digest = row.body.get("baseline_digest") or row.digest
        version = row.version if digest == row.digest else _version_of(rows, digest)
        by = row.actor if accepted else None
        yield row, Baseline(version=version, digest=digest, metrics=metrics, at=row.at, by=by)


def _version_of(rows: Sequence[LedgerRow], digest: Digest) -> str:
    return next((row.version for row in reversed(rows) if row.digest == digest), "")


def _is_better(given: MetricValue, known: MetricValue | None) -> bool:
    if given.value is None:
        return False
    if known is None or known.value is None:
        return True
    if (given.interval is None) != (known.interval is None):  # nothing can be judged against a bare value
        return given.interval is not None
    try:
        sign = 1.0 if metric_facts(given.name).greater_is_better else -1.0
    except SpecError:  # of a package that is not installed any more: nobody is judged by it
        return False
    return sign * given.value > sign * known.value


def accepted_at(rows: Sequence[LedgerRow]) -> datetime | None:
    """Return when a person accepted a loss last; ``None``: nobody did."""
    return next((row.at for row in reversed(rows) if row.action is LedgerAction.ACCEPT_LOSS), None)


def better_than_broken_of(rows: Sequence[LedgerRow]) -> BetterThanBroken | None:
    """Return how the version that serves came to, where it was promoted during a loss; else ``None``.

    Whether the loss is over by now is for the judged windows to say; one that a person has accepted since is.
    """
    champion = champion_of(rows)
    if champion is None:
        return None
    commits = [row for row in rows if row.action is LedgerAction.COMMIT and row.digest == champion.digest]
    made = next((row for row in reversed(commits) if not taken_by(row)), commits[-1])
    lost_since = made.body.get("better_than_broken")
    accepted = [row.seq for row in rows if row.action is LedgerAction.ACCEPT_LOSS]
    if lost_since is None or (accepted and accepted[-1] > made.seq):
        return None
    return BetterThanBroken(
        version=made.version,
        digest=made.digest,
        serves_since=made.at,
        lost_since=datetime.fromisoformat(lost_since),
    )
