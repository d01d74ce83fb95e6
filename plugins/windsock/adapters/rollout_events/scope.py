"""``Scope``: which rows of the log are a rollout's, and what of them is needed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from windsock.adapters.log_columns import microseconds
from windsock.records import Rollout, RolloutPlan, challenger_arm
from windsock.spec import LABELLED_KINDS, OUTCOME_KINDS, RolloutMetricBlock, digest_of, parse_duration

TOLERANCE_MINUTES = 5
"""By how much a client's clock may differ from the server's."""
TOLERANCE = TOLERANCE_MINUTES * 60 * 1_000_000
LATER_FIELDS = ("attribution", "unit_cap", "classes")
"""Of the plan: rollouts of before have none of them, and what was counted for them is still of this plan."""


@dataclass(frozen=True)
class Scope:
    """What is counted.

    :param experiment: the rollout; ``None``: all that the champion answered, inside of rollouts and outside.
    :param epoch: exposures have this epoch or a later one.
    :param champion: digest of the champion's bundle; ``None`` without an experiment.
    :param challenger: digest of the challenger's bundle; of several the first one's.
    :param others: digests of the further challengers' bundles, in the order of their lanes; those that were
        dropped are among them, and so are their units.
    :param began: when the rollout began, in microseconds: exposures before belong to none of its steps.
    :param since: when its present step began: what came before is of no exposure in it.
    """

    plan: RolloutPlan
    experiment: str | None = None
    epoch: int = 0
    champion: str | None = None
    challenger: str | None = None
    began: int = 0
    since: int = 0
    others: tuple[str, ...] = ()

    @classmethod
    def of(cls, rollout: Rollout) -> Scope:
        """Return what the present step of a rollout counts."""
        return cls(
            plan=rollout.plan,
            experiment=rollout.experiment,
            epoch=rollout.step_epoch,
            champion=rollout.champion_digest,
            challenger=rollout.digest,
            began=microseconds(rollout.started_at),
            since=microseconds(rollout.step_since),
            others=tuple(one.digest for one in rollout.others),
        )

    @property
    def digest(self) -> str:
        """What tells counts of one scope from those of another."""
        plan = self.plan.model_dump(mode="json")
        return digest_of(
            {
                "metrics": plan["metrics"],
                "labels": plan["labels"],
                "pre_period": plan["pre_period"],
                "slow_ms": plan["slow_ms"],
                **{name: plan[name] for name in LATER_FIELDS if plan.get(name) is not None},
                "shadow": self.is_shadow,
                "experiment": self.experiment,
                "epoch": self.epoch,
                "champion": self.champion,
                "challenger": self.challenger,
                **({"others": self.others} if self.others else {}),
            }
        )

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, by their number: the champion's, and the challengers' by lane."""
        return ("champion", *(challenger_arm(lane) for lane in range(1, len(self.others) + 2)))

    @property
    def bundles(self) -> tuple[str | None, ...]:
        """Digests of the arms' bundles, by the arm's number."""
        return (self.champion, self.challenger, *self.others)

    @property
    def is_shadow(self) -> bool:
        """Whether both arms answer every unit."""
        return self.plan.strategy == "shadow" and self.experiment is not None

    @property
    def sides(self) -> tuple[str, ...]:
        """Populations that share no unit: one, or with a shadow one for each arm. The first is told of."""
        return ("0", "1") if self.is_shadow else ("",)

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of the plan's metrics."""
        return frozenset(block.kind for block in self.plan.metrics.values())

    @property
    def needs_outcomes(self) -> bool:
        """Whether any metric is about outcomes."""
        return bool(self.kinds & (OUTCOME_KINDS | LABELLED_KINDS))

    @property
    def needs_answers(self) -> bool:
        """Whether any metric holds answers against outcomes."""
        return bool(self.kinds & LABELLED_KINDS)

    @property
    def only_labels(self) -> bool:
        """Whether outcomes are needed as labels of answers, and for nothing else."""
        return self.needs_answers and not self.kinds & OUTCOME_KINDS

    @property
    def needs_before(self) -> bool:
        """Whether units have a covariate."""
        return self.plan.pre_period is not None and bool(self.kinds & OUTCOME_KINDS)

    @property
    def outcome_windows(self) -> tuple[int | None, ...]:
        """How long after an exposure an outcome may come of it, by the metrics that are about outcomes."""
        blocks = self.plan.metrics.values()
        return tuple(
            dict.fromkeys(self.window(one) for one in blocks if one.kind in OUTCOME_KINDS | LABELLED_KINDS)
        )

    @property
    def windows(self) -> frozenset[int]:
        """Those that end."""
        return frozenset(window for window in self.outcome_windows if window is not None)

    def window(self, block: RolloutMetricBlock) -> int | None:
        """Return the microseconds after an exposure in which an outcome may come of it; ``None``: for ever.

        Labels of a table or a file are of one prediction each, whenever they are known.
        """
        length = block.attribution or self.plan.attribution
        if length is None or not self.is_posted or block.kind not in OUTCOME_KINDS | LABELLED_KINDS:
            return None
        return parse_duration(length) // timedelta(microseconds=1)

    @property
    def is_posted(self) -> bool:
        """Whether outcomes arrive at the server, and so in its log by the hour."""
        return self.plan.labels.kind == "outcomes"
