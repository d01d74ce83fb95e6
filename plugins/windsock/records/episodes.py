"""Records of retrains that the monitor asks for: episodes, decisions, claims and their ends."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from windsock.records.base import Moment, Record, RunContext, Span
from windsock.records.training import PairedDifference
from windsock.spec import ModelSpec
from windsock.spec.base import is_none


class EpisodeState(StrEnum):
    """What became of an episode."""

    ANNOUNCED = "announced"
    CLAIMED = "claimed"
    CLOSED = "closed"


class RetrainOutcome(StrEnum):
    """What an episode came to; only the first helped."""

    PROMOTED = "promoted"
    QUEUED = "queued"
    """The new version waits for its rollout or is in it: says nothing until that has ended."""
    KEPT = "kept"
    REFUSED = "refused"
    FAILED = "failed"
    """A fault, or a run that was lost: says nothing about whether retraining helps."""
    TOO_FEW = "too_few"
    """Kept or refused, but its rows were too few to prove a gain that matters: says nothing about whether
    retraining helps, and is tried again when there are twice as many since the onset."""
    UNCHANGED = "unchanged"
    """The same rows gave the version that serves already: nothing changed, so it did not help."""
    SUPERSEDED = "superseded"
    """Never claimed: another version serves by now, or the retrain of another episode answers it."""


class Episode(Record):
    """One stretch of drift or loss, or one event from outside, that asks for one retrain.

    :param key: unique for the model: the version that serves and the first window of the stretch, or the
        event's own id; a doubled event has the same.
    :param digest: bundle of the version that serves.
    :param trigger: ``drift``, ``performance``, or ``event`` from outside.
    :param span: from the first bad window's start to the last one's end.
    :param announced: how often its event was sent.
    :param onset: when the stretch of bad windows began, as far as scores and losses tell; kept through all
        retrains of the stretch. ``None`` for events from outside, and in episodes of before.
    :param rows: labelled answers since the onset when it was opened.
    :param loss: the loss of the model's metric that asked, against what is asked of the model, in the
        metric's unit (rmse and mae: as a share); ``None`` where drift asked.
    :param claimed_by: the DAG run that has it, or had it.
    :param forgiven_by: who has reset the breaker since: it does not count for it any more.
    :param difference: of its version to the champion, where the gate kept or refused it.
    """

    model: str
    key: str
    digest: str
    trigger: Literal["drift", "performance", "event"]
    span: Span
    state: EpisodeState = EpisodeState.ANNOUNCED
    opened_at: Moment
    announced: int = Field(default=0, ge=0)
    onset: Moment | None = Field(default=None, exclude_if=is_none)
    rows: int | None = Field(default=None, ge=0, exclude_if=is_none)
    loss: float | None = Field(default=None, exclude_if=is_none)
    claimed_by: str | None = None
    claimed_at: Moment | None = None
    outcome: RetrainOutcome | None = None
    closed_at: Moment | None = None
    forgiven_by: str | None = None
    difference: PairedDifference | None = Field(default=None, exclude_if=is_none)


class DecideRetrainInput(Record):
    """Input of ``decide_retrain``.

    :param event_id: id of an event from outside that asks for a retrain; ``None``: the judged windows ask.
    :param waiting: closed windows that still wait for a verdict: until they have it, windows ask for nothing.
    """

    spec: ModelSpec
    event_id: str | None = Field(default=None, min_length=1, max_length=1_000)
    waiting: int = Field(default=0, ge=0)
    run: RunContext = RunContext()


class RetrainOrder(StrEnum):
    """What the trigger policy says."""

    GRANT = "grant"
    """An episode is announced: a retrain may claim it."""
    WAIT = "wait"
    """Nothing asks for one."""
    HOLD = "hold"
    """Something asks for one, and cooldown, budget or breaker forbids it."""


class RowsNeeded(Record):
    """How many labelled answers a retrain waits for.

    :param rows: there are since the onset.
    :param needed: there must be.
    :param expected_at: when there will be as many at the present traffic; ``None``: none come.
    """

    rows: int = Field(ge=0)
    needed: int = Field(ge=1)
    expected_at: Moment | None = None

    @property
    def told(self) -> str:
        """How many there are, and when there are enough."""
        when = "no labels come any more"
        if self.expected_at is not None:
            when = f"at the present traffic there are as many by {self.expected_at:%Y-%m-%d %H:%M} UTC"
        return f"{self.rows:,} of {self.needed:,} are there; {when}"


class RetrainDecision(Record):
    """Whether a retrain is announced, and why.

    :param episode: the episode announced now, again or for the first time; ``None`` unless granted.
    :param breaker: whether retrains that did not help have stopped the loop, or a part of it: a person must
        look.
    :param stopped: what can have no retrain any more for that: ``performance``, ``drift``, ``event``.
    :param not_before: when cooldown or budget allow the next one.
    :param waits_for: labelled answers since the onset that a retrain needs first.
    :param tried: which retrains did not help, where the breaker is open, in words.
    """

    model: str
    order: RetrainOrder
    reason: str
    episode: Episode | None = None
    breaker: bool = False
    stopped: tuple[Literal["performance", "drift", "event"], ...] = ()
    not_before: Moment | None = None
    waits_for: RowsNeeded | None = Field(default=None, exclude_if=is_none)
    tried: str = Field(default="", exclude_if="".__eq__)
    decided_at: Moment


class ClaimRetrainInput(Record):
    """Input of ``claim_retrain``.

    :param episode_key: the event's episode; without it and ``event_id`` the model is claimed for a retrain
        that is on schedule or by hand.
    :param event_id: the own id of an event from outside that no decision has announced: the trigger policy is
        applied to it first.
    :param dry_run: whether the run stops after the gate: it needs no server then.
    """

    spec: ModelSpec
    episode_key: str | None = None
    event_id: str | None = Field(default=None, min_length=1, max_length=1_000)
    dry_run: bool = False
    run: RunContext = RunContext()


class RetrainClaim(Record):
    """Whether this run may retrain the model: one at a time, whichever DAG holds it; one for each episode.

    :param granted: whether the run goes on.
    :param holder: the run that asked: ``DAG_ID/RUN_ID``.
    :param recent: the stretch whose labelled rows are mixed in, and on whose held-out rows the gate decides;
        ``None`` for a retrain without an episode.
    :param onset: since when the world is another one, as the episode has it: rows since then are learned from
        apart, and decide at the gate.
    :param claimed_at: when it was granted first, or refused now.
    :param findings: what the retrain will need at its end and lacks now.
    """

    model: str
    granted: bool
    reason: str
    holder: str
    episode: Episode | None = None
    recent: Span | None = None
    onset: Moment | None = Field(default=None, exclude_if=is_none)
    claimed_at: Moment
    findings: tuple[str, ...] = Field(default=(), exclude_if=lambda found: not found)


class CloseRetrainInput(Record):
    """Input of ``close_retrain``.

    :param claim: what ``claim_retrain`` gave; the control database says whether this run has it.
    :param outcome: what the retrain came to.
    :param against: the new version's difference to the champion, where the gate kept or refused it: whether
        its rows could have shown a gain that matters.
    """

    spec: ModelSpec
    claim: RetrainClaim
    outcome: RetrainOutcome
    against: PairedDifference | None = Field(default=None, exclude_if=is_none)
    run: RunContext = RunContext()


class RetrainEnd(Record):
    """A retrain gave its claim back.

    :param outcome: what it came to, by the ledger; or ``too_few``.
    """

    model: str
    holder: str
    episode_key: str | None = None
    outcome: RetrainOutcome
    closed_at: Moment
