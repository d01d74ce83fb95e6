from __future__ import annotations

import errno
import io
from datetime import UTC, datetime, timedelta

import pytest

from support.builders import CARD, make_spec
from support.rollouts import make_estimate, make_look
from support.world import deploy, promote, world_of
from windsock.cli import demo, demo_rollout, follow
from windsock.cli.airflow_tasks import LogLine, TaskState
from windsock.cli.console import say, table
from windsock.cli.demo_drift import Learned, with_short_windows
from windsock.cli.demo_off import off_lines, switched_off
from windsock.cli.demo_rollout import RolloutChapter, look_line, with_quick_rollout
from windsock.cli.follow import RunFollower, last_block, verdict_line
from windsock.cli.output import checked_output, end_output
from windsock.cli.stack_ports import StackPorts
from windsock.cli.staging import stage_model
from windsock.exceptions import SpecError
from windsock.records import RolloutOutcome, StartRolloutInput, ended_rollouts, running_rollout
from windsock.spec.loader import load_shared, load_spec
from windsock.steps import run_step

BLOCK = ["VERDICT: PASS", "WHY: 800 rows", "NEXT: nothing to do", "IDS: model=churn"]
SPEC = """\
model: {name: visits, owner: ds@company.com}
data: {source: visits.csv}
training: {compute: COMPUTE}
"""


def lines(*events: str) -> list[LogLine]:
    return [LogLine(event=event, logger="windsock.task") for event in events]


# --- the verdict of a log


def test_the_last_block_is_taken():
    log = lines("hello", "VERDICT: HOLD", "WHY: waits", "NEXT: ask", "IDS: none", "more", *BLOCK, "after it")
    assert last_block(log) == BLOCK
    assert verdict_line(BLOCK) == "PASS: 800 rows"


def test_a_log_without_a_block():
    assert last_block(lines("hello", "WHY: no verdict before this")) == []
    assert verdict_line([]) == ""


def test_a_block_that_was_cut_short():
    assert last_block(lines("VERDICT: PASS", "WHY: x")) == ["VERDICT: PASS", "WHY: x"]


# --- following a run


class FakeApi:
    """A run that goes one step further each time it is asked."""

    def __init__(self, steps, log=tuple(BLOCK)) -> None:
        self.steps = list(steps)
        self.log_lines = lines(*log)

    def run_state(self, dag_id, run_id):
        return self.steps[0][0]

    def tasks(self, dag_id, run_id):
        return self.steps[0][1]

    def log(self, dag_id, run_id, task):
        return self.log_lines

    def go_on(self, seconds):
        if len(self.steps) > 1:
            self.steps.pop(0)


def task(state, name="take_snapshot", seconds=None, **fields) -> TaskState:
    return TaskState(
        task_id=name, label=name, state=state, seconds=seconds, **{"map_index": -1, "try_number": 1, **fields}
    )


def follower(api, said) -> RunFollower:
    return RunFollower(
        api=api, dag_id="d", run_id="r", say=said.append, pause=api.go_on, reviewer_note="ask a person"
    )


def test_each_end_of_a_task_is_told_once_with_time_and_verdict():
    steps = [
        ("queued", []),
        ("running", [task("running")]),
        ("running", [task("success", seconds=2.06)]),
        ("running", [task("success", seconds=2.06), task("skipped", "promote_model")]),
        ("success", [task("success", seconds=2.06), task("skipped", "promote_model")]),
    ]
    said: list[str] = []
    assert follower(FakeApi(steps), said).follow() == "success"
    assert [line.split() for line in said] == [
        ["ok", "take_snapshot", "2.1", "s", "PASS:", "800", "rows"],
        ["skipped", "promote_model"],
    ]


def test_a_retry_a_question_and_a_failure_are_told():
    steps = [
        ("running", [task("up_for_retry")]),
        ("running", [task("awaiting_input", try_number=2)]),
        ("failed", [task("failed", try_number=2, seconds=1)]),
    ]
    said: list[str] = []
    watching = follower(FakeApi(steps), said)
    assert watching.follow() == "failed"
    assert [line.split()[0] for line in said] == ["retry", "waits", "FAILED"]
    assert "ask a person" in said[1]
    assert [found.label for found in watching.failed_tasks()] == ["take_snapshot"]


def test_a_log_without_a_verdict_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(follow, "VERDICT_SECONDS", 0.0)
    said: list[str] = []
    api = FakeApi([("success", [task("success", seconds=1)])], log=("nothing here",))
    assert follower(api, said).follow() == "success"
    assert said[0].split() == ["ok", "take_snapshot", "1.0", "s"]


def test_long_silence_is_broken(monkeypatch):
    monkeypatch.setattr(follow, "PROGRESS_SECONDS", 0.0)
    steps = [("queued", []), ("running", [task("running", "train_model")]), ("success", [])]
    said: list[str] = []
    follower(FakeApi(steps), said).follow()
    assert "the run is queued" in said[0]
    assert "train_model" in said[1]


# --- a model file from anywhere


@pytest.fixture
def project(tmp_path):
    include = tmp_path / "project" / "include"
    (include / "models").mkdir(parents=True)
    (include / "expectations").mkdir()
    (include / "expectations" / "visits.json").write_text("{}")
    (include / "windsock.yaml").write_text("compute: {our-box: {cpus: 2}}\n")
    return tmp_path / "project"


def staged_from(file, project, tmp_path, change=lambda spec: spec):
    return stage_model(file, project=project, home=tmp_path / "home", change=change)


def test_a_file_of_the_project_is_left_as_it_is(project, tmp_path):
    file = project / "include" / "models" / "visits.yaml"
    text = SPEC.replace("COMPUTE", "our-box")
    file.write_text(text)
    staged = staged_from(file, project, tmp_path, with_short_windows)
    assert staged.is_own
    assert file.read_text() == text
    assert staged.source_roots == (project / "include" / "models", project)


def test_the_staged_file_says_what_is_run(project, tmp_path):
    file = project / "include" / "models" / "visits.yaml"
    file.write_text(SPEC.replace("COMPUTE", "our-box"))
    staged = staged_from(file, project, tmp_path, with_short_windows)
    read = load_spec(staged.models_dir / "visits.yaml", load_shared(project / "include" / "windsock.yaml"))
    assert read == staged.spec
    assert read.monitoring.window == "1m"
    assert read.training == load_spec(file, load_shared(project / "include" / "windsock.yaml")).training


def test_any_other_file_gets_a_folder_of_its_own(project, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    file = folder / "my model.yaml"
    file.write_text(SPEC.replace("COMPUTE", "our-box"))
    left = tmp_path / "home" / "demo" / "include" / "models" / "of_the_run_before.yaml"
    left.parent.mkdir(parents=True)
    left.write_text("")
    staged = staged_from(file, project, tmp_path)
    assert not staged.is_own
    assert staged.models_dir == left.parent
    assert [found.name for found in staged.models_dir.iterdir()] == ["visits.yaml"]
    assert (staged.models_dir.parent / "windsock.yaml").exists()
    assert (staged.models_dir.parent / "expectations" / "visits.json").exists()
    assert staged.source_roots == (folder, project)


def test_a_broken_file_is_refused_before_anything_is_made(project, tmp_path):
    file = tmp_path / "visits.yaml"
    file.write_text(SPEC.replace("COMPUTE", "their-box"))
    with pytest.raises(SpecError, match="their-box"):
        staged_from(file, project, tmp_path)
    assert not (tmp_path / "home").exists()


# --- words


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("churn.csv", "file churn.csv"),
        ("sql://warehouse/sales.customers", "sql sales.customers of connection warehouse"),
        (
            {"kind": "sql", "conn_id": "warehouse", "query": "select 1"},
            "sql by a query of connection warehouse",
        ),
        ("feature_store://view", "feature_store view"),
        ("https://api.company.com/rows", "api https://api.company.com/rows"),
        (None, "no source is named"),
    ],
)
def test_a_source_in_words(source, words):
    assert demo.describe_source(make_spec(data={"source": source}, gate={"card": CARD})) == words


def test_a_dag_counts_as_parsed_only_in_this_stack():
    now = datetime.now(UTC)
    parsed = {"last_parsed_time": now.isoformat().replace("+00:00", "Z")}
    assert demo.parsed_after(parsed, now - timedelta(seconds=1))
    assert not demo.parsed_after(parsed, now + timedelta(seconds=1))
    assert not demo.parsed_after({"last_parsed_time": None}, now)


def test_what_is_off_at_the_end_is_named_with_the_command_that_switches_it_on():
    dags = [
        {"dag_id": "a__monitor", "is_paused": False},
        {"dag_id": "a__rollback", "is_paused": True},
        {"dag_id": "a__daily_retrain", "is_paused": True},
        {"dag_id": "by_hand", "is_paused": True},
    ]
    off = switched_off(dags, "a")
    assert off == ("a__daily_retrain", "a__rollback")
    said = off_lines(off, "a", " --home /h")
    assert said[0].startswith("Switched off: a__daily_retrain, a__rollback;")
    assert "`windsock models on a --home /h`" in said[1]
    assert off_lines(switched_off(dags[:1], "a"), "a", "") == []


def test_a_moved_port_is_said(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(demo, "say", said.append)
    monkeypatch.setattr("windsock.cli.stack_ports.is_free", lambda port: port != 5000)
    assert demo._free_ports(StackPorts()).mlflow != 5000
    assert len(said) == 1
    assert "5000 is taken: mlflow gets" in said[0]


def test_a_table():
    assert table(("check", "status"), [("minimum:roc_auc", "pass")]) == [
        "  check            status",
        "  -----            ------",
        "  minimum:roc_auc  pass",
    ]


def test_a_terminal_that_is_gone_is_remembered_and_stops_nothing(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("sys.stdout", Gone())
    with checked_output() as output:
        say("into the void")
        say("and once more")
    assert end_output(output, 0) == 141


# --- the rollout


def test_the_demo_tries_new_versions_quickly_whatever_the_file_asks_for():
    canary = make_spec(rollout={"strategy": "canary", "steps": [1, 100], "horizon": "7d"})
    for spec in (make_spec(), canary):
        quick = with_quick_rollout(spec).rollout
        assert (quick.strategy, quick.metric, quick.horizon) == ("ab", "conversion", None)
        assert quick.cycle == "20s"
        assert with_quick_rollout(spec).training == spec.training


def test_a_look_is_told_in_one_line():
    assert look_line(make_look(3, "promote", reason="it is better")) == (
        "Look 3   10,000 and 10,000 users, 10.0% and 10.6%, difference [-0.4%, +1.6%]; promote: it is better"
    )


def test_a_look_without_a_value_says_so():
    line = look_line(make_look(1, estimate=make_estimate(), reason="too few units"))
    assert line == "Look 1   10,000 and 10,000 users, - and -; hold: too few units"


@pytest.fixture
def chapter_of(monkeypatch):
    """The chapter of a version, in a world where the rollout of version 2 is under way."""
    spec = with_quick_rollout(make_spec())
    ports = world_of(1)
    deploy(ports, 2, spec=spec)
    promote(ports, 2, spec=spec)
    run_step("start_rollout", StartRolloutInput(spec=spec), ports)
    monkeypatch.setattr(demo_rollout, "open_ports", lambda settings: ports)

    def made(version: str) -> RolloutChapter:
        return RolloutChapter(
            api=None,
            spec=spec,
            learned=Learned(version=version, rows=[]),
            settings=None,
            pause=lambda _: None,
        )

    return made


def test_a_rollout_that_an_interrupted_demo_left_is_stopped(chapter_of, capsys):
    chapter = chapter_of("3")
    chapter._end_others()
    (end,) = ended_rollouts(chapter.ports.ledger.rows("churn"))
    assert (end.version, end.outcome) == ("2", RolloutOutcome.STOPPED)
    assert "version 2 was under way: it is stopped" in capsys.readouterr().out


def test_the_rollout_of_the_new_version_goes_on(chapter_of):
    chapter = chapter_of("2")
    chapter._end_others()
    rollout = running_rollout(chapter.ports.ledger.rows("churn"))
    assert rollout is not None
    assert chapter._await_start() == rollout


def test_a_rollout_that_does_not_begin_is_told(chapter_of, monkeypatch):
    monkeypatch.setattr(demo_rollout, "START_SECONDS", 0.0)
    with pytest.raises(demo_rollout.NotPromotedError, match="started no rollout"):
        chapter_of("3")._await_start()


def test_a_question_says_until_when():
    why = "WHY: 0 of 1 approvals; a person is asked until 2026-03-04 10:30 UTC"
    log = ("VERDICT: HOLD", why, "NEXT: let a person answer", "IDS: model=churn")
    said: list[str] = []
    api = FakeApi([("running", [task("awaiting_input")]), ("success", [])], log=log)
    follower(api, said).follow()
    assert said[0].endswith("ask a person, until 2026-03-04 10:30 UTC")
