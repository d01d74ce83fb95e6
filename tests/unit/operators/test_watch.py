from __future__ import annotations

from windsock.operators.watch import WatchOperator


def test_a_shared_file_that_is_broken_is_said_and_the_models_are_read(tmp_path, monkeypatch):
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    (models / "churn.yaml").write_text("model: {name: churn, owner: ann}\n")
    (models / "fraud.yaml").write_text("model: [\n")
    (models.parent / "windsock.yaml").write_text("approvers: 7\n")
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    given = WatchOperator(task_id="watch").step_input({})
    assert [spec.name for spec in given["specs"]] == ["churn"]
    assert ["windsock.yaml" in one for one in given["broken"]] == [True, False]
    assert "fraud.yaml" in given["broken"][1]
