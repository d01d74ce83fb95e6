from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

import windsock
from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.data.take_snapshot import take_snapshot
from windsock.exceptions import NotBuiltError
from windsock.pipelines.docs import retrain_doc
from windsock.records import TakeSnapshotInput
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.translation import known_keys
from windsock.spec.unused import NOT_BUILT, ONE_VALUE, UNUSED, not_built, unused_keys, unused_shared_keys

PACKAGE = Path(windsock.__file__).parent
OF_UNREAD_SOURCES = {"data.source.url", "data.source.view"}
"""Keys of kinds of sources that are refused as a whole."""
VALIDATOR = "model_validator"


@functools.cache
def names_read() -> frozenset[str]:
    """Return every attribute that the package reads, but for what only validators of the spec read."""
    found: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        if file.name == "unused.py":
            continue
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and any(
                VALIDATOR in ast.dump(one) for one in node.decorator_list
            ):
                node.body = []
        found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return frozenset(found)


def test_every_key_is_read_or_named_as_unused():
    read = names_read()
    every = {*known_keys(ModelSpec), *known_keys(SharedSpec)}
    known = {*UNUSED, *ONE_VALUE, *OF_UNREAD_SOURCES}
    assert known <= every
    unread = [key for key in sorted(every - known) if key.rpartition(".")[2] not in read]
    assert unread == ["approvers.medium", "staging"]  # by Approvers.for_tier; and its only key is named


def test_what_is_named_as_unused_is_not_read():
    read = names_read() - {"server_url"}  # of the server itself
    assert [key for key in UNUSED if key.rpartition(".")[2] in read] == []


@pytest.mark.parametrize(
    ("window", "lookback", "dated", "told"),
    [
        ("1d", "7d", True, "windows of a day or longer"),
        ("1h", "7d", False, "without `data.event_time`"),
        ("1h", "7d", True, ""),
        ("1h", "6h", True, ""),
        ("7d", "7d", True, "windows of a day or longer"),
    ],
)
def test_a_time_zone_without_hours_is_named(window, lookback, dated, told):
    monitoring = {"window": window, "timezone": "Europe/Berlin", "performance": {"window": lookback}}
    spec = make_spec(monitoring=monitoring, data={"event_time": "at"} if dated else {})
    said = unused_keys(spec)
    assert bool(said) == bool(told)
    assert all(told in one and "monitoring.timezone does nothing here" in one for one in said)
    assert unused_keys(make_spec(monitoring={"window": window})) == ()


def test_what_a_file_has_is_named_and_of_a_record_what_differs():
    spec = make_spec(serving={"max_replicas": 4, "autoscale_metric": "cpu"})
    for written, named in ((True, ["max_replicas", "autoscale_metric"]), (False, ["max_replicas"])):
        said = unused_keys(spec, written=written)
        assert [one.split()[0] for one in said] == [f"serving.{key}" for key in named]
    assert unused_keys(make_spec()) == ()
    assert unused_shared_keys(SharedSpec()) == ()


@pytest.mark.parametrize("path", NOT_BUILT)
def test_the_first_task_refuses_a_model_that_would_behave_otherwise(path):
    key = path.rpartition(".")[2]
    spec = make_spec(serving={key: NOT_BUILT[path][0]})
    with pytest.raises(NotBuiltError, match=path) as caught:
        take_snapshot(TakeSnapshotInput(spec=spec), fake_ports(sources=FakeSources(None)), "")
    assert "serving: {" in caught.value.next_action
    assert not_built(spec)[0][0] in retrain_doc(spec).replace("\\", "")


def test_the_page_of_the_dag_and_the_log_name_unused_keys(caplog):
    import pandas as pd

    spec = make_spec(serving={"max_replicas": 4})
    assert "serving.max_replicas does nothing yet" in retrain_doc(spec).replace("\\", "")
    assert "Not used yet" not in retrain_doc(make_spec())
    rows = pd.DataFrame({"customer_id": ["a", "b"], "x": ["1", "2"], "churned": ["Yes", "No"]})
    take_snapshot(TakeSnapshotInput(spec=spec), fake_ports(sources=FakeSources(rows)), "")
    assert "serving.max_replicas does nothing yet" in caplog.text
