from __future__ import annotations

import io
import json
import logging
import os

import pytest

from support.builders import make_spec, make_validation
from support.fakes import FakeSources, fake_ports
from windsock import records as r
from windsock.cli.app import run
from windsock.exceptions import DataRefusedError, SourceUnavailableError
from windsock.steps.run import StepResult


class Terminal:
    def __init__(self, text):
        self.buffer = io.BytesIO(text.encode())


@pytest.fixture
def ports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = fake_ports()
    monkeypatch.setattr("windsock.cli.step.open_ports", lambda settings: made)
    return made


@pytest.fixture
def answer(monkeypatch, ports):
    """Let the step come to what a test says."""

    def set_answer(outcome):
        def run_step(name, content, given):
            assert given is ports
            logging.getLogger("windsock.data").info("seen %s", name)
            if isinstance(outcome, Exception):
                raise outcome
            return StepResult(step=name, record=outcome, key="k", unchanged=False)

        monkeypatch.setattr("windsock.cli.step.run_step", run_step)

    return set_answer


def step(name="validate_data", source="in.json", output="out.json"):
    return run(["step", name, "--input", source, "--output", output])


def test_a_step_runs_and_its_record_and_verdict_come_out(ports, tmp_path, capsys):
    import pandas as pd

    frame = pd.DataFrame({"customer_id": range(50), "age": range(50), "churned": [True, False] * 25})
    object.__setattr__(ports, "sources", FakeSources(frame))
    spec = make_spec().model_dump(mode="json")
    (tmp_path / "in.json").write_text(json.dumps({"spec": spec}))
    assert step("take_snapshot") == 0
    record = r.DataSnapshot.model_validate_json((tmp_path / "out.json").read_text())
    assert record.rows == 50
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["VERDICT", "WHY", "NEXT", "IDS"]
    assert lines[0] == "VERDICT: PASS"
    assert step("take_snapshot", output="again.json") == 0
    assert "VERDICT: UNCHANGED" in capsys.readouterr().out
    assert (tmp_path / "again.json").read_text() == (tmp_path / "out.json").read_text()


def test_a_no_is_written_and_ends_with_1(answer, tmp_path, capsys):
    (tmp_path / "in.json").write_text("{}")
    answer(make_validation(status=r.Status.FAIL))
    assert step() == 1
    assert json.loads((tmp_path / "out.json").read_text())["status"] == "fail"
    assert "VERDICT: FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [(DataRefusedError("the file is empty"), 1, "FAIL"), (SourceUnavailableError("no answer"), 3, "ERROR")],
)
def test_an_error_ends_in_the_block_and_leaves_no_file(answer, tmp_path, capsys, error, code, word):
    (tmp_path / "in.json").write_text("{}")
    answer(error)
    assert step() == code
    shown = capsys.readouterr()
    assert shown.out.startswith(f"VERDICT: {word}\nWHY: {error.code}: {error.message}")
    assert "Traceback" not in shown.err
    assert os.listdir(tmp_path) == ["in.json"]
    assert run(["--debug", "step", "validate_data", "--input", "in.json", "--output", "out.json"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_the_program_has_its_block_and_its_trace(answer, tmp_path, capsys):
    (tmp_path / "in.json").write_text("{}")
    answer(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        step()
    assert "unexpected ZeroDivisionError" in capsys.readouterr().out


def test_findings_go_to_stderr_once(answer, tmp_path, capsys):
    (tmp_path / "in.json").write_text("{}")
    answer(make_validation())
    assert step() == 0
    assert step() == 0
    assert capsys.readouterr().err == "INFO windsock.data: seen validate_data\n" * 2
    assert not logging.getLogger("windsock").handlers


def test_the_input_may_come_from_stdin(answer, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", Terminal("{}"))
    answer(make_validation())
    assert step(source="-") == 0
    assert (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"requested_by": "cli:ann"}),
        ({"run": {"run_id": "r1"}}, {"run_id": "r1", "starter_unknown": True}),
    ],
)
def test_who_runs_it_is_told_unless_the_input_says(ports, tmp_path, monkeypatch, given, expected):
    seen = {}

    def run_step(name, content, given_ports):
        seen.update(content)
        return StepResult(step=name, record=make_validation(), key="k", unchanged=False)

    monkeypatch.setattr("windsock.cli.step.run_step", run_step)
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    (tmp_path / "in.json").write_text(json.dumps(given))
    assert step() == 0
    assert seen["run"] == expected


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "no JSON at line 1, column 1"),
        (b'{"a":\n 1,}', "no JSON at line 2"),
        (b"[]", "no JSON object"),
        (b'{"a": NaN}', "finite numbers"),
        (b"\xff", "no JSON in UTF-8"),
        (b"[" * 100_000, "no JSON"),
        (b"{}", "the input of validate_data is not valid at spec"),
        (b'{"spec": {"model": {"name": "x"}}, "nonsense": 1}', "not valid"),
    ],
)
def test_input_that_cannot_be_used(ports, tmp_path, capsys, content, says):
    if content is not None:
        (tmp_path / "in.json").write_bytes(content)
    assert step() == 1
    shown = capsys.readouterr().out
    assert "VERDICT: ERROR" in shown
    assert says in shown
    assert not (tmp_path / "out.json").exists()


def test_an_unknown_step_is_wrong_usage(ports, capsys):
    assert step("nonsense") == 2
    assert "take_snapshot" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_keeps_what_was_there(answer, tmp_path, capsys, monkeypatch):
    (tmp_path / "in.json").write_text("{}")
    (tmp_path / "out.json").write_text("before")
    answer(make_validation())

    def fail(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    assert step() == 3
    assert "WS-STORAGE-001" in capsys.readouterr().out
    assert (tmp_path / "out.json").read_text() == "before"
    assert sorted(os.listdir(tmp_path)) == ["in.json", "out.json"]


def test_an_approval_cannot_be_given_by_a_file(ports, tmp_path, capsys):
    content = {"spec": make_spec().model_dump(mode="json"), "answer": "approve", "approver": "ann"}
    (tmp_path / "in.json").write_text(json.dumps(content))
    assert step("approve_model") == 1
    assert "WS-APPROVAL-006" in capsys.readouterr().out
    assert not (tmp_path / "out.json").exists()
