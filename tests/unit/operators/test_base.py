from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from support.builders import make_check, make_snapshot, make_spec, make_validation
from support.context import RUN, make_context
from support.retraining import make_episode
from support.steps import attested
from windsock import records as r
from windsock.exceptions import (
    DataRefusedError,
    GateRefusedError,
    ServerUnavailableError,
    SettingsError,
    SpecError,
)
from windsock.operators.take_snapshot import SnapshotDataOperator
from windsock.operators.validate_data import ValidateDataOperator


def snapshot_task(**fields):
    return SnapshotDataOperator(task_id="take_snapshot", **{"spec": make_spec(), **fields})


def validate_task(**fields):
    content = make_snapshot().model_dump(mode="json")
    return ValidateDataOperator(
        task_id="validate_data", **{"spec": make_spec(), "snapshot": content, **fields}
    )


def end(task, context, kind, caplog):
    """Run the callbacks as Airflow does at the very end, and return the lines they log."""
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="windsock.task"):
        for callback in getattr(task, kind):
            callback(context)
    return [record.getMessage() for record in caplog.records]


def test_init_only_stores(ports):
    task = SnapshotDataOperator(task_id="t", spec="no such model", data_window="30d")
    assert task.spec == "no such model"


def test_record_is_pushed_as_small_json(ports, step_answers):
    step_answers("take_snapshot", make_snapshot())
    task = snapshot_task()
    pushed = task.execute(make_context(task))
    assert r.DataSnapshot.model_validate(pushed) == make_snapshot()
    assert len(json.dumps(pushed)) < 20_000


@pytest.mark.parametrize("spec", [make_spec(), make_spec().model_dump(mode="json")])
def test_spec_may_be_an_object_or_its_content(ports, step_answers, spec):
    seen = step_answers("take_snapshot", make_snapshot())
    task = snapshot_task(spec=spec)
    task.execute(make_context(task))
    assert seen[0].spec == make_spec()


def claimed(ports, onset):
    """Let the run claim an episode."""
    moment = ports.now()
    span = r.Span(start=moment - timedelta(days=2), end=moment)
    ports.monitor.announce(make_episode("one", span=span, opened_at=moment, onset=onset and moment - onset))
    return ports.monitor.claim(make_spec(), episode_key="one", holder=RUN.label, now=moment)


def test_a_snapshot_is_of_the_source_alone_unless_an_episode_asks(ports, step_answers):
    seen = step_answers("take_snapshot", make_snapshot())
    task = snapshot_task(recent=None, onset="")
    task.execute(make_context(task))
    assert (seen[0].recent, seen[0].onset) == (None, None)


@pytest.mark.parametrize("onset", [timedelta(days=1), None])
def test_a_snapshot_is_told_recent_rows_and_onset(ports, step_answers, onset):
    seen, claim = step_answers("take_snapshot", make_snapshot()), claimed(ports, onset)
    assert (claim.onset is None) == (onset is None)
    told = claim.onset.isoformat() if claim.onset else ""
    task = snapshot_task(recent=claim.recent.model_dump(mode="json"), onset=told)
    assert {"recent", "onset"} <= set(task.template_fields)
    task.execute(make_context(task))
    assert (seen[0].recent, seen[0].onset) == (claim.recent, claim.onset)


def test_rows_that_are_not_of_the_runs_claim_are_refused(ports, step_answers):
    seen, claim = step_answers("take_snapshot", make_snapshot()), claimed(ports, timedelta(days=1))
    moved = (claim.onset + timedelta(hours=5)).isoformat()
    task = snapshot_task(recent=claim.recent.model_dump(mode="json"), onset=moved)
    with pytest.raises(GateRefusedError, match="WS-MONITORING-130"):
        task.execute(make_context(task))
    assert not seen


def test_broken_spec_content_is_a_spec_error(ports):
    task = snapshot_task(spec={"model": {"name": "Not A Name"}})
    with pytest.raises(SpecError, match="take_snapshot"):
        task.execute(make_context(task))


def test_who_and_what_runs_comes_from_the_server(ports, step_answers):
    seen = step_answers("take_snapshot", make_snapshot())
    task = snapshot_task()
    task.execute(make_context(task, user="ann"))
    assert seen[0].run.requested_by == "ann"
    assert seen[0].run.run_id == "run-1"
    assert seen[0].run.logical_date is not None


def test_data_window_param_wins(ports, step_answers):
    seen = step_answers("take_snapshot", make_snapshot())
    task = snapshot_task(data_window="30d")
    task.execute(make_context(task, data_window="7d"))
    task.execute(make_context(task, data_window=None))
    assert [step.data_window for step in seen] == ["7d", "30d"]


def test_force_is_a_nonce_that_a_retry_shares(ports, step_answers):
    seen = step_answers("validate_data", make_validation())
    attested(ports, run=RUN, take_snapshot=make_snapshot())
    task = validate_task()
    for force in (True, True, False):
        task.execute(make_context(task, force=force))
    assert [step.nonce for step in seen] == ["run-1", None]
    assert len(seen) == 2


def test_a_dry_run_reaches_the_validation(ports, step_answers):
    seen = step_answers("validate_data", make_validation())
    attested(ports, run=RUN, take_snapshot=make_snapshot())
    task = validate_task()
    for dry_run in (True, False):
        task.execute(make_context(task, dry_run=dry_run))
    assert [step.dry_run for step in seen] == [True, False]


def test_a_no_is_pushed_before_it_is_raised(ports, step_answers):
    report = make_validation(status=r.Status.FAIL, checks=(make_check("rows", r.Status.FAIL),))
    step_answers("validate_data", report)
    attested(ports, run=RUN, take_snapshot=make_snapshot())
    task = validate_task()
    context = make_context(task)
    with pytest.raises(DataRefusedError, match="rows"):
        task.execute(context)
    assert r.ValidationReport.model_validate(context["ti"].pushed["return_value"]) == report


def test_last_block_of_a_green_task(ports, step_answers, caplog):
    step_answers("take_snapshot", make_snapshot())
    task = snapshot_task()
    context = make_context(task)
    task.execute(context)
    lines = end(task, context, "on_success_callback", caplog)
    assert lines[0] == "::endgroup::"
    assert [line.split(":")[0] for line in lines[1:]] == ["VERDICT", "WHY", "NEXT", "IDS"]
    assert lines[1] == "VERDICT: PASS"


@pytest.mark.parametrize("kind", ["on_failure_callback", "on_retry_callback"])
def test_last_block_of_a_red_task(ports, step_answers, caplog, kind):
    step_answers("take_snapshot", ServerUnavailableError("http://127.0.0.1:1 does not answer"))
    task = snapshot_task()
    context = make_context(task)
    with pytest.raises(ServerUnavailableError):
        task.execute(context)
    lines = end(task, context, kind, caplog)
    assert lines[1] == "VERDICT: ERROR"
    assert "windsock serve" in lines[3]
    assert "model=churn" in lines[4]


@pytest.mark.parametrize(
    ("word", "kind", "level"),
    [
        ("PASS", "on_success_callback", logging.INFO),
        ("UNCHANGED", "on_skipped_callback", logging.INFO),
        ("KEEP", "on_skipped_callback", logging.INFO),
        ("DRY RUN", "on_success_callback", logging.INFO),
        ("HOLD", "on_success_callback", logging.INFO),
        ("FAIL", "on_success_callback", logging.WARNING),
        ("FAIL", "on_failure_callback", logging.ERROR),
        ("ERROR", "on_failure_callback", logging.ERROR),
        ("ERROR", "on_retry_callback", logging.ERROR),
    ],
)
def test_the_level_of_the_last_block(ports, step_answers, caplog, word, kind, level):
    step_answers("take_snapshot", make_snapshot())
    task = snapshot_task()
    context = make_context(task)
    task.execute(context)
    task.verdict = replace(task.verdict, word=word)
    end(task, context, kind, caplog)
    block = [record for record in caplog.records if record.getMessage() != "::endgroup::"]
    assert {record.levelno for record in block} == {level}
    assert len(block) == 4


def test_what_fails_after_a_good_verdict_is_the_verdict(ports, step_answers, caplog):
    step_answers("take_snapshot", make_snapshot())
    task = snapshot_task()
    context = make_context(task)
    task.execute(context)
    context["exception"] = ServerUnavailableError("the event could not be sent")
    lines = end(task, context, "on_failure_callback", caplog)
    assert lines[1] == "VERDICT: ERROR"
    assert "the event could not be sent" in lines[2]


def test_input_that_does_not_fit_ends_with_the_block_too(ports, caplog):
    task = validate_task(snapshot={"model": "churn"})
    context = make_context(task)
    with pytest.raises(SettingsError, match="snapshot"):
        task.execute(context)
    assert end(task, context, "on_failure_callback", caplog)[1] == "VERDICT: ERROR"


def test_callbacks_of_the_user_still_run(ports, step_answers):
    step_answers("take_snapshot", make_snapshot())
    called = []
    task = snapshot_task(on_success_callback=called.append)
    context = make_context(task)
    task.execute(context)
    for callback in task.on_success_callback:
        callback(context)
    assert called == [context]


def test_links_are_kept_for_the_buttons(ports, step_answers):
    from support.builders import make_evaluation
    from windsock.operators.evaluate_model import EvaluateModelOperator

    evaluation = make_evaluation()
    step_answers("evaluate_model", evaluation)
    attested(ports, run=RUN, train_model=evaluation.chosen, take_snapshot=make_snapshot())
    task = EvaluateModelOperator(
        task_id="e",
        spec=make_spec(),
        snapshot=make_snapshot().model_dump(mode="json"),
        candidates=[evaluation.chosen.model_dump(mode="json")],
    )
    task.execute(make_context(task))
    addresses = [link.get_link(task, ti_key=None) for link in task.operator_extra_links]
    assert addresses == ["http://127.0.0.1:5000/#/runs/run1", ""]
