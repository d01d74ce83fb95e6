"""Every text key of a model's file and of the shared file, times every kind of text that might be rendered.

What loads is shown as it was written, wherever it is shown: the page has the same structure as with a plain
word. What does not load is refused by a message that obeys nothing either.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator

from support.builders import make_check, make_decision, make_evaluation, make_trained, make_version
from support.every_text import EVERY_KEY, LEFT_OUT, SHARED, contents, replaced, set_keys, texts
from support.payloads import KINDS, PRODUCT, SHORT
from support.rollouts import make_estimate, make_look, make_rollout
from support.structure import of_html, of_markdown
from windsock.exceptions import WindsockError
from windsock.operators.approve_model import approval_body
from windsock.operators.approve_rollout import rollout_body
from windsock.pipelines.ab_rollout import ab_rollout_dag
from windsock.pipelines.docs import ab_rollout_doc, drift_retrain_doc, monitor_doc, retrain_doc
from windsock.pipelines.drift_retrain import drift_retrain_dag
from windsock.pipelines.monitor import monitor_dag
from windsock.pipelines.retrain import retrain_dag
from windsock.pipelines.rollback import rollback_dag
from windsock.records import ModelCard, RolloutPlan
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.loader import load_shared, spec_from_bytes
from windsock.training.model_card import card_markdown
from windsock.ui.app import render

DAGS = (retrain_dag, drift_retrain_dag, monitor_dag, ab_rollout_dag, rollback_dag)
CONTENTS = tuple((content, texts(content)) for content in contents())
TEXTS = sorted(set().union(*(known for _, known in CONTENTS)))
SHARED_TEXTS = sorted(texts(SHARED))
WORD = "plain"
FREE = {
    *("the owner", "the description", "the runbook", "the file.csv", "the target", "the entity", "the time"),
    *("the intended use", "the limitations", "the training data", "the evaluation", "the positive class"),
    *("the value", "the parameter", "the constant", "the metric", "the outcome", "the business"),
    *("the sensitive column", "the feature", "the excluded column", "the required column", "the channel"),
    *("the connection", "the table", "the path", "the prediction id", "the outcome column"),
}
"""Texts of which a file may hold any: were one refused by mistake, the tests here would try nothing."""


@lru_cache(maxsize=1)
def shared_words() -> SharedSpec:
    return SharedSpec.model_validate(SHARED)


def shared_as(text: str, other: str) -> SharedSpec:
    """The shared file with another text wherever one stands; as it is where that is refused."""
    try:
        return SharedSpec.model_validate(replaced(SHARED, text, other))
    except ValueError:
        return shared_words()


def loaded(text: str, other: str) -> Iterator[tuple[ModelSpec, SharedSpec]]:
    """Yield the specs in which a text was replaced; of those that are refused the message is looked at."""
    shared = shared_as(text, other)
    for content, known in CONTENTS:
        if text not in known:
            continue
        file = json.dumps(replaced(content, text, other)).encode()
        try:
            yield spec_from_bytes(file, "offers.yaml", shared), shared
        except WindsockError as error:
            assert_obeyed_by_nothing(str(error))
        return


def assert_obeyed_by_nothing(message: str) -> None:
    """See that a message has one line at the margin and nothing that a terminal obeys."""
    first, *more = message.split("\n")
    assert all(line.startswith("  ") for line in more), message
    assert all(one.isprintable() or one in "\n\u200b\ufeff\u2060\u00a0" for one in message), ascii(message)
    assert first


def pages(spec: ModelSpec) -> dict[str, str]:
    """Every Markdown text that is made of a spec."""
    decision = make_decision(
        reason=spec.model.description or "x",
        checks=(make_check(spec.data.target, message=spec.model.runbook),),
        asks=tuple(spec.data.required),
    )
    written = spec.gate.card.model_dump()
    card = ModelCard(**{name: text or "x" for name, text in written.items()})
    chosen = make_trained(candidate=spec.candidates[0])
    rollout = make_rollout(plan=RolloutPlan.of_spec(spec))
    look = make_look(
        reason=spec.model.description or "x",
        estimate=make_estimate(-0.1, 0.2, metric=spec.rollout.metric or "conversion"),
        checks=(make_check(spec.rollout.metric or "x", code="WS-ROLLOUT-020"),),
    )
    return {
        "retrain": retrain_doc(spec),
        "drift retrain": drift_retrain_doc(spec),
        "monitor": monitor_doc(spec),
        "rollout": ab_rollout_doc(spec),
        "approval": approval_body(spec, make_version(), decision.model_dump(mode="json")),
        "rollout approval": rollout_body(spec, rollout, look),
        "card": card_markdown(spec, make_evaluation(card=card, chosen=chosen)),
    }


def html_pages(spec: ModelSpec) -> dict[str, str]:
    """Every page of Windsock's own that is made of a spec."""
    cells = ("owner", "tier", "schedule", "version", "epoch", "alerts", "rollout", "since")
    row = dict.fromkeys(cells, spec.model.owner)
    error = WindsockError(spec.model.description or "x", next_action=spec.model.runbook or "x")
    said = {"model": spec.name, "severity": "high", "code": "WS-WATCH-001", "reached": spec.model.owner}
    alert = {**said, "title": spec.model.description, "text": error.message, "next": error.next_action}
    watched = {"late": True, "text": error.message, "next": error.next_action}
    known = {"alerts": [alert], "watched": watched, "others": 1}
    return {
        "models": render(
            "models.html", {"rows": [{"name": spec.name, **row}], "faults": [error.message], **known}
        ),
        "error": render("error.html", {"error": error}),
    }


def test_every_text_key_is_tried():
    tried = set_keys(SharedSpec.model_validate(SHARED))
    for content in contents():
        tried |= set_keys(ModelSpec.model_validate(content))
    assert EVERY_KEY - tried - set(LEFT_OUT) == set(), "set the new key in tests/support/every_text.py"
    assert not set(LEFT_OUT) & tried


def test_what_may_be_any_text_loads():
    assert set(TEXTS) >= FREE
    refused = [text for text in sorted(FREE) if not list(loaded(text, PRODUCT))]
    assert refused == []


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS)
def test_no_kind_of_text_makes_structure(text):
    plain = next(chain(loaded(text, WORD), loaded(text, f"{WORD} %Y")), None)
    written, html = (pages(plain[0]), html_pages(plain[0])) if plain else ({}, {})
    blocks = {name: of_markdown(page) for name, page in written.items()}
    elements = {name: of_html(page) for name, page in html.items()}
    for kind, payload in KINDS.items():
        for spec, _ in loaded(text, payload):
            assert plain is not None, f"{kind}: a plain word is refused where this is not"
            for name, shown in pages(spec).items():
                same = shown == written[name]  # the text is not on this page
                assert same or bounded(of_markdown(shown), blocks[name]), f"{kind} in {name}:\n{shown}"
            for name, shown in html_pages(spec).items():
                assert of_html(shown) == elements[name], f"{kind} in {name}"


def bounded(found: list[str], plain: list[str]) -> bool:
    """Return whether a page has no more than plain paragraphs beyond those it has with a plain word."""
    paragraph = ["paragraph_open p 0", "inline  1", "paragraph_close p 0"]
    number = 0
    while number < len(found) and found != plain:
        if found[number : number + 3] == paragraph and plain[number : number + 3] != paragraph:
            del found[number : number + 3]
        elif found[number : number + 1] != plain[number : number + 1]:
            return False
        else:
            number += 1
    return found == plain


def rendered(dag: DAG) -> Iterator[tuple[str, Any]]:
    """Yield every value of a DAG's tasks that Airflow renders, by its place."""
    for task in dag.tasks:
        mapped = isinstance(task, MappedOperator)
        given = {**task.partial_kwargs, "expand": task.expand_input.value} if mapped else {}
        for field in (*task.template_fields, "map_index_template"):
            yield f"{task.task_id}.{field}", given.get(field) if mapped else getattr(task, field, None)
        if mapped:
            wanted = {name: value for name, value in given["expand"].items() if name in task.template_fields}
            yield f"{task.task_id}.expand", wanted


@pytest.mark.parametrize("text", sorted({*TEXTS, *SHARED_TEXTS}))
def test_no_text_of_a_file_is_in_a_template_field(text):
    tried = list(loaded(text, SHORT)) or list(loaded(text, PRODUCT))
    if not tried and text in SHARED_TEXTS:
        base = spec_from_bytes(json.dumps(contents()[0]).encode(), "offers.yaml", shared_words())
        tried = [(base, shared_as(text, SHORT))]
    for spec, shared in tried:
        for make in DAGS:
            dag = make(spec, shared)
            found = [place for place, value in rendered(dag) if PRODUCT in str(value)]
            assert found == [], dag.dag_id
            assert not dag.render_template_as_native_obj
            assert not dag.user_defined_macros
            assert not dag.template_searchpath
            assert not str(dag.doc_md).endswith(".md"), "Airflow would read a file of that name"


@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_file_that_is_refused_says_so_harmlessly(kind, tmp_path):
    for number, text in enumerate(SHARED_TEXTS):
        file = tmp_path / f"{number}.yaml"
        file.write_text(json.dumps(replaced(SHARED, text, KINDS[kind])))
        try:
            load_shared(file)
        except WindsockError as error:
            assert_obeyed_by_nothing(str(error))
