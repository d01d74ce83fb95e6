from __future__ import annotations

import pytest

from windsock.operators.assets import challenger_asset, rollout_asset, sometimes
from windsock.pipelines.factory import build_dags

FILE = """\
model: {{name: churn, owner: ann, tier: {tier}}}
data: {{source: data.csv, target: y}}
rollout: {{strategy: {strategy}, metric: {metric}, check: {check}, approve: true{more}}}
"""


@pytest.fixture
def built(tmp_path):
    """Build the DAGs of one model; name what differs in its file."""

    def build(*, strategy="canary", check="1h", tier="medium", shared="", more=""):
        folder = tmp_path / "include" / "models"
        folder.mkdir(parents=True, exist_ok=True)
        metric = "accuracy" if strategy == "shadow" else "conversion"
        text = FILE.format(strategy=strategy, metric=metric, check=check, tier=tier, more=more)
        (folder / "churn.yaml").write_text(text, encoding="utf-8")
        if shared:
            (folder.parent / "windsock.yaml").write_text(shared, encoding="utf-8")
        return build_dags(folder)

    return build


@pytest.mark.parametrize(
    ("strategy", "there"), [("direct", False), ("canary", True), ("ab", True), ("shadow", True)]
)
def test_it_is_there_where_a_version_must_prove_itself(built, strategy, there):
    dags = built(strategy=strategy)
    assert ("churn__ab_rollout" in dags) is there
    for name in ("daily_retrain", "drift_retrain"):
        outlets = dags[f"churn__{name}"].get_task("promote_model").outlets
        assert outlets == ([sometimes(challenger_asset("churn"))] if there else [])
    outlets = dags["churn__rollback"].get_task("roll_back").outlets
    assert outlets == ([sometimes(rollout_asset("churn"))] if there else [])


def test_structure(built):
    dag = built()["churn__ab_rollout"]
    found = {
        task.task_id: (task.operator_name, sorted(task.upstream_task_ids), task.trigger_rule.value)
        for task in dag.tasks
    }
    assert found == {
        "steer_rollout": ("SteerRolloutOperator", [], "all_success"),
        "start_rollout": ("StartRolloutOperator", ["steer_rollout"], "all_success"),
        "wait_for_look": ("RolloutSensor", ["start_rollout"], "all_success"),
        "judge_rollout": ("JudgeRolloutOperator", ["wait_for_look"], "all_success"),
        "approve_promotion": ("ApproveRolloutOperator", ["judge_rollout"], "all_success"),
        "move_rollout": (
            "MoveRolloutOperator",
            ["approve_promotion", "judge_rollout"],
            "none_failed_min_one_success",
        ),
    }
    assert (dag.catchup, dag.max_active_runs) == (False, 5)
    assert dag.dag_display_name == "churn: rollout (canary)"
    assert set(dag.tags) == {"windsock", "model:churn"}
    assert all(task.retries >= 2 and task.owner == "ann" for task in dag.tasks)
    for task_id in ("steer_rollout", "move_rollout"):
        assert dag.get_task(task_id).outlets == [sometimes(rollout_asset("churn"))]


def test_runs_do_not_pile_up_in_wait_for_a_look(built):
    """They would fill ``max_active_runs``, and a stop by the form would be queued behind them."""
    assert built()["churn__ab_rollout"].get_task("wait_for_look").nearest is True


def test_what_skips_can_be_cleared(built):
    """A task that was skipped by the one before stays skipped when it alone is cleared."""
    from airflow.serialization.serialized_objects import DagSerialization

    dags = built()
    dag = DagSerialization.from_dict(DagSerialization.to_dict(dags["churn__ab_rollout"]))
    skipping = {name for name, task in dag.task_dict.items() if task.inherits_from_skipmixin}
    assert skipping == {
        "steer_rollout",
        "start_rollout",
        "wait_for_look",
        "judge_rollout",
        "approve_promotion",
    }


@pytest.mark.parametrize("check", ["15m", "6h", "90m"])
def test_it_is_started_by_events_alone(built, check):
    """A version that waits, and work that is due; without either the scheduler starts nothing."""
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    dag = built(check=check)["churn__ab_rollout"]
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    assert {asset.uri for _, asset in timetable.asset_condition.iter_assets()} == {
        "x-windsock://churn/challenger",
        "x-windsock://churn/due_rollout",
    }
    assert timetable.asset_condition.as_expression()["any"]
    info = timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
    )
    assert info is None
    assert dag.is_paused_upon_creation is False


def test_the_tiers_approvers_are_asked(built):
    dag = built(shared="approvers: {medium: [rita]}\n")["churn__ab_rollout"]
    assert dag.get_task("approve_promotion").assigned_users == [{"id": "rita", "name": "rita"}]


@pytest.mark.parametrize(
    ("given", "good"),
    [
        ({}, True),
        *(({"action": action}, True) for action in ("judge", "pause", "resume", "stop", "roll_back")),
        ({"action": "delete"}, False),
        ({"version": "4"}, True),
        ({"version": "v4"}, False),
        ({"version": "4, 5"}, True),
        ({"version": "4,5, 6 ,7"}, True),
        ({"version": "4, 5, 6, 7, 8"}, False),
        ({"version": "4 5"}, False),
        ({"version": "4,"}, False),
        ({"steps": "5, 25, 50, 100"}, True),
        ({"steps": "0.5,100"}, True),
        ({"steps": "five"}, False),
        ({"steps": "5;25"}, False),
        ({"metric": "ctr"}, True),
        ({"metric": None}, True),
        ({"metric": "luck"}, False),
        ({"horizon": "14d"}, True),
        ({"horizon": "two weeks"}, False),
        ({"dry_run": True}, True),
        ({"dry_run": "yes"}, False),
        ({"reason": None}, True),
        ({"reason": "the queue is long"}, True),
        ({"reason": "x" * 1001}, False),
    ],
)
def test_form_is_typed(built, given, good):
    from airflow.sdk.definitions.param import ParamsDict, ParamValidationError

    form = ParamsDict(built()["churn__ab_rollout"].params)
    if good:
        form.update(given)
        form.validate()
    else:
        with pytest.raises(ParamValidationError):
            form.update(given)


def test_a_run_of_the_scheduler_has_the_defaults(built):
    from airflow.sdk.definitions.param import ParamsDict

    assert ParamsDict(built()["churn__ab_rollout"].params).validate() == {
        "action": "judge",
        "version": None,
        "steps": None,
        "metric": None,
        "horizon": None,
        "dry_run": False,
        "reason": None,
    }


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("canary", ("5, 25, 50, 100 %", "not worse by more than 0.02", "each 1h", "a person is asked")),
        ("ab", ("50 % of the units", "conversion: better", "harm 0, errors 0.01, slow 0.05")),
        ("shadow", ("answers nobody",)),
    ],
)
def test_its_page_says_what_is_tried_and_what_to_do(built, strategy, words):
    dags = built(strategy=strategy)
    text = dags["churn__ab_rollout"].doc_md
    for word in (*words, "churn__rollback", "When it is red", "dry_run", "windsock__housekeeping"):
        assert word in text
    assert "ends that one" in dags["churn__rollback"].doc_md


def test_the_page_of_several_says_so_and_that_of_one_does_not(built):
    text = built(strategy="ab", more=", challengers: 3, share: 30")["churn__ab_rollout"].doc_md
    for word in (
        "30 % of the units, 3 versions together",
        "3; they wait 3d for each other",
        "alpha 0.05 for all together",
        "Up to 3 versions are tried at once",
        "`version` may name several that wait, such as `4, 5`.",
    ):
        assert word in text
    alone = built(strategy="ab")["churn__ab_rollout"].doc_md
    assert "together" not in alone
    assert "several" not in alone


@pytest.mark.parametrize("strategy", ["direct", "canary", "ab", "shadow"])
def test_every_form_can_be_sent_as_it_opens(built, strategy):
    """A text that may not be missing is red without a value; a bare null is shown as a word."""
    for dag_id, dag in built(strategy=strategy).items():
        for name, field in dag.params.items():
            schema = dag.params.get_param(name).schema
            place = f"{dag_id}: {name}"
            assert "null" in schema["type"] or field not in (None, ""), place
            if None in schema.get("enum", ()):
                assert schema["values_display"]["null"].strip(), place
                assert "None" not in schema["values_display"], place
