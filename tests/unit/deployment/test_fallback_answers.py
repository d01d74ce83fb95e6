"""The fallback answer of a spec on its way into every plan."""

from __future__ import annotations

from typing import Any

import pytest

from support.builders import make_spec
from support.fakes import FakeBundles, FakeRouter
from support.rollout_steps import SHADOW, split, started_world
from support.world import MODEL, actions, back, deploy, left_of, promote, version_of, world_of
from windsock.exceptions import DeploymentRefusedError, SpecError
from windsock.ports import LoadedBundle
from windsock.records import (
    Answer,
    ColumnKind,
    FallbackAnswer,
    InputField,
    InputSchema,
    ProbeResult,
    RoutePlan,
)

ERROR = make_spec(serving={"fallback_answer": "error"})
CONSTANT = make_spec(serving={"fallback_answer": {"constant": "stays"}})


def bundles_of(*classes: str) -> FakeBundles:
    """Return a store in which version 2 answers with these classes, or with numbers."""
    schema = InputSchema(
        model=MODEL,
        fields=(InputField(name="age", kind=ColumnKind.NUMBER),),
        answer=Answer.CLASS if classes else Answer.NUMBER,
        classes=classes,
    )
    store, unused = FakeBundles(), object()
    store.by_digest[version_of(2).digest] = LoadedBundle(
        manifest=unused,  # type: ignore[arg-type]
        digest=version_of(2).digest,
        pipeline=unused,
        schema=schema,
        golden=unused,  # type: ignore[arg-type]
    )
    return store


def policies(ports: Any) -> list[str]:
    """Return the policy of each plan that was applied."""
    return [plan.fallback.policy for plan in ports.router.applied]


def test_without_a_word_it_is_the_champion() -> None:
    assert set(policies(world_of(1, 2))) == {"champion"}


def test_from_deployment_to_roll_back_and_repair_every_plan_has_it() -> None:
    ports = world_of(1)
    begun = len(ports.router.applied)
    deploy(ports, 2, spec=ERROR)
    promote(ports, 2)
    back(ports)
    ports.router.plans.clear()
    promote(ports, 1)  # the champion is there already: its route is restored
    ports.router.plans.clear()
    back(ports, to=2)  # a server without a state: the ledger knows
    assert policies(ports)[begun:] == ["error"] * (len(ports.router.applied) - begun)
    assert len(ports.router.applied) - begun == 5
    kept = [RoutePlan.of_row(row).fallback.policy for row in ports.ledger.rows(MODEL) if "plan" in row.body]
    assert kept[-3:] == ["error"] * 3


def test_the_next_deployment_says_it_anew() -> None:
    ports = world_of(1)
    deploy(ports, 2, spec=ERROR)
    deploy(ports, 3)
    assert ports.router.plans[MODEL].fallback == FallbackAnswer()


def test_an_abandoned_switch_keeps_it() -> None:
    class Shy(FakeRouter):
        """Answers well as long as version 2 has no traffic."""

        def probe(self, model: str, digest: str) -> ProbeResult:
            slot = self.plans[model].slot(digest)
            found = super().probe(model, digest)
            bad = slot is not None and slot.version == "2" and slot.share > 0
            return found.model_copy(update={"matched": False}) if bad else found

    ports = world_of(1, router=Shy())
    deploy(ports, 2, spec=ERROR)
    with pytest.raises(DeploymentRefusedError):
        promote(ports, 2, spec=ERROR)
    assert actions(ports)[-1][0] == "abandon"
    assert ports.router.plans[MODEL].fallback.policy == "error"


def test_a_constant_that_the_version_answers_with_goes_into_the_plan() -> None:
    ports = world_of(1, bundles=bundles_of("leaves", "stays"))
    deploy(ports, 2, spec=CONSTANT)
    fallback = FallbackAnswer(policy="constant", constant="stays")
    assert ports.router.plans[MODEL].fallback == fallback
    promote(ports, 2, spec=CONSTANT)
    assert ports.router.plans[MODEL].fallback == fallback


@pytest.mark.parametrize(
    ("classes", "named"), [(("no", "yes"), 'answers with one of "no", "yes"'), ((), "answers with numbers")]
)
def test_a_constant_that_the_version_never_answers_with_is_refused_before_anything_is_written(
    classes: tuple[str, ...], named: str
) -> None:
    ports = world_of(1, bundles=bundles_of(*classes))
    before = left_of(ports)
    with pytest.raises(SpecError, match=named) as refusal:
        deploy(ports, 2, spec=CONSTANT)
    assert (refusal.value.code, refusal.value.key) == (
        "WS-SERVING-041",
        "serving.fallback_answer.constant",
    )
    assert left_of(ports) == before


def test_a_shadow_stays_one_through_the_next_deployment_and_ends_with_its_rollout() -> None:
    ports = started_world(spec=SHADOW)
    deploy(ports, 3)
    assert split(ports) == {"1": (10_000, False), "2": (0, True), "3": (0, False)}
    promote(ports, 3)
    assert split(ports) == {"1": (0, False), "2": (0, False), "3": (10_000, False)}
