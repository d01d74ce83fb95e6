from __future__ import annotations

import errno
import json
import os

import pandas as pd
import pytest
from sqlalchemy import create_engine

from support.specs import ANNOTATED, FOREIGN
from windsock.cli.app import run
from windsock.cli.first_file import form_keys, source_entry, source_of, written
from windsock.exceptions import SpecError
from windsock.records import ValueForm
from windsock.settings import Settings
from windsock.spec.loader import load_spec
from windsock.spec.schema import model_schema, shared_schema

UNUSED_OF_FOREIGN = [
    "serving.min_replicas",
    "serving.max_replicas",
    "serving.autoscale_metric",
    "data.source:",
]


@pytest.fixture
def models(tmp_path, monkeypatch):
    folder = tmp_path / "include" / "models"
    folder.mkdir(parents=True)
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(40)],
            "gender": ["f", "m"] * 20,
            "months": range(40),
            "churned": ["Yes", "No"] * 20,
        }
    )
    frame.to_csv(tmp_path / "Customers 2024.csv", index=False)
    return frame


# --- validate ---


def test_good_files_are_listed(models, capsys):
    (models / "a.yaml").write_text(FOREIGN)
    (models / "b.yaml").write_text(ANNOTATED)
    for arguments in (["validate"], ["validate", str(models)]):
        assert run(arguments) == 0
        shown = capsys.readouterr()
        lines = shown.out.splitlines()
        good = [line for line in lines if line.startswith("ok: ")]
        assert good == [f"ok: {models}: model churn", f"ok: {models}: model churn_predictor"]
        unused = [line for line in lines if line.startswith("  churn_predictor: ")]
        assert [line.split()[1] for line in unused] == [*UNUSED_OF_FOREIGN, "gate.card:"]
        assert shown.err == ""
    assert run(["validate", str(models / "a.yaml")]) == 0
    assert capsys.readouterr().out.startswith(f"ok: {models / 'a.yaml'}: model churn_predictor\n")


def test_a_parameter_that_no_estimator_takes_is_named_with_its_line(models, capsys):
    candidates = "[{estimator: logistic_regression, params: {solvr: lbfgs}}]"
    more = "[{estimator: random_forest, params: {n_estimators: many, max_depth: 4}}]"
    (models / "a.yaml").write_text(f"model: {{name: a}}\ntraining:\n  candidates: {candidates}\n")
    (models / "b.yaml").write_text(f"model: {{name: b}}\ntraining:\n  candidates: {more}\n")
    (models / "c.yaml").write_text("model: {name: c}\n")
    for arguments in (["validate"], ["validate", str(models / "a.yaml"), str(models / "b.yaml")]):
        assert run(arguments) == 1
        shown = capsys.readouterr()
        assert "WS-SPEC-011" in shown.err
        assert "a.yaml:3: training.candidates[0].params.solvr" in shown.err
        assert "did you mean solver?" in shown.err
        assert "b.yaml:3: training.candidates[0].params.n_estimators" in shown.err
        assert "2 file(s) cannot be used" in shown.err
        assert "max_depth:" not in shown.err


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("avg(outcome::double)", None),
        ("WITH a AS (SELECT 1 AS x) SELECT sum(x) FROM a", None),
        ("sum(column_that_no_row_has)", None),  # what columns there are, only the rows say
        ("sum(case when prediction then 20", "syntax error"),
        ("SELECT avg(outcome FROM predictions", "syntax error"),
        ("SELECT 1; SELECT 2", "2 statements"),
    ],
)
def test_a_query_of_the_business_that_is_no_sql_is_named_with_its_line(models, capsys, sql, says):
    file = models / "churn.yaml"
    content = {
        "model": {"name": "churn", "owner": "o@c.com"},
        "data": {"source": "c.csv", "target": "churned"},
        "monitoring": {"performance": {"business": {"sql": sql}}},
    }
    file.write_text(json.dumps(content))
    assert run(["validate", str(file)]) == (0 if says is None else 1)
    shown = capsys.readouterr()
    assert ("WS-SPEC-011" in shown.err) is (says is not None)
    assert says is None or (says in shown.err and "monitoring.performance.business.sql" in shown.err)


def test_keys_that_do_nothing_yet_are_named_and_no_fault(models, tmp_path, capsys):
    (models / "a.yaml").write_text("model: {name: a}\nserving: {type: batch, min_replicas: 1}\n")
    shared = tmp_path / "include" / "windsock.yaml"
    shared.write_text("compute: {big: {cpus: 8, pool: big}}\nstaging: {server_url: http://127.0.0.1:1}\n")
    assert run(["validate", str(models), str(shared)]) == 0
    lines = capsys.readouterr().out.splitlines()
    named = [line.split(":")[1].split()[0] for line in lines if line.startswith("  a: ")]
    assert named == ["serving.min_replicas", "serving.type", "gate.card"]
    assert [line.split()[0] for line in lines if line.startswith(("  compute", "  staging"))] == [
        "staging.server_url",
        "compute.cpus",
    ]


def test_what_no_version_can_pass_is_named_before_anything_is_trained(models, tmp_path, capsys):
    card = "gate: {card: {intended_use: Rank., limitations: Few.}}\n"
    (models / "a.yaml").write_text(f"model: {{name: a, tier: high}}\n{card}")
    shared = tmp_path / "include" / "windsock.yaml"
    shared.write_text("approvers: {high: [rita, RITA]}\n")
    assert run(["validate", str(models)]) == 0
    assert "  a: approvers.high of windsock.yaml names 1, and 2 people must" in capsys.readouterr().out
    shared.write_text("approvers: {high: [rita, bob]}\n")
    assert run(["validate", str(models)]) == 0
    assert "  a: " not in capsys.readouterr().out


def test_how_a_file_is_written_is_said_where_its_reader_found_it_out():
    assert form_keys(None) == form_keys(ValueForm()) == {}
    keys = form_keys(ValueForm(decimal=",", thousands=".", dates=""))
    assert keys == {"decimal": ",", "thousands": "."}
    assert source_entry("a.csv", keys) == {"kind": "file", "path": "a.csv", "decimal": ",", "thousands": "."}
    assert source_entry("a.csv", {}) == "a.csv"
    assert source_entry("sql://shop/orders", keys) == "sql://shop/orders"


@pytest.mark.parametrize(
    ("form", "said"),
    [("{},{:03}", "fee: "), ("03/{:02}/2026", "fee: ")],
    ids=["thousands or decimals", "days or months"],
)
def test_init_leaves_no_column_out_that_it_could_not_read(models, tmp_path, capsys, form, said):
    lines = [f'"{form.format(number % 12 + 1, number)}",{number % 7},{number % 2}' for number in range(200)]
    (tmp_path / "t.csv").write_text("fee,x,bought\n" + "\n".join(lines) + "\n")
    assert run(["init", "t.csv", "--name", "t", "--target", "bought"]) == 0
    assert said in capsys.readouterr().out
    assert "exclude: [" not in (models / "t.yaml").read_text()


def test_init_knows_the_installation_s_words_and_reads_as_snapshots_do(models, tmp_path, capsys):
    (tmp_path / "include" / "windsock.yaml").write_text("sensitive_words: [kaste]\n")
    rows = [
        f"{number},{('a', 'b')[number % 2]},{number % 7}.0,{('True', 'False')[number % 3 > 0]}"
        for number in range(60)
    ]
    (tmp_path / "t.csv").write_text("nr,Kaste,x,left\n" + "\n".join(rows))
    assert run(["init", "t.csv", "--name", "t"]) == 0
    data = load_spec(models / "t.yaml").data
    assert (data.sensitive, data.target, data.positive) == (("Kaste",), "left", "True")


def test_every_fault_of_every_file_is_printed(models, capsys):
    (models / "a.yaml").write_text("model: {name: a, tier: x}\nservin: {}")
    (models / "b.yaml").write_text("model: {name: b}")
    (models / "c.yaml").write_text("- no")
    assert run(["validate", str(models), str(models / "no.yaml")]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == f"ok: {models}: model b"
    for part in (
        "a.yaml:1: model.tier: ",
        "a.yaml:2: servin: ",
        "c.yaml:1: ",
        "no.yaml: the file cannot be read",
    ):
        assert part in shown.err
    assert "3 file(s) cannot be used, 1 can" in shown.err


@pytest.mark.parametrize("place", ["empty", "absent"])
def test_a_folder_without_model_files_is_no_success(models, tmp_path, capsys, place):
    (tmp_path / "empty").mkdir()
    assert run(["validate", str(tmp_path / place)]) == 1
    assert "WS-SPEC-005" in capsys.readouterr().err


def test_the_shared_file_beside_the_folder_counts_and_is_checked(models, capsys):
    (models / "a.yaml").write_text("model: {name: a}\ntraining: {compute: gpu}")
    assert run(["validate", str(models)]) == 1
    assert "unknown compute class" in capsys.readouterr().err
    shared = models.parent / "windsock.yaml"
    shared.write_text("compute: {gpu: {cpus: 4}}")
    assert run(["validate", str(models), str(shared)]) == 0
    assert f"ok: {shared}" in capsys.readouterr().out
    shared.write_text("compute: {gpu: {cpu: 4}}")
    assert run(["validate", str(models / "a.yaml")]) == 1
    assert f"{shared}:1: compute.gpu.cpu" in capsys.readouterr().err


# --- schema ---


def test_the_schemas_are_printed(capsys):
    assert run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == model_schema()
    assert run(["schema", "--shared"]) == 0
    assert json.loads(capsys.readouterr().out) == shared_schema()


# --- init ---


def test_a_first_file_from_a_csv(models, table, capsys):
    assert run(["init", "Customers 2024.csv", "--owner", "ann"]) == 0
    shown = capsys.readouterr().out
    file = models / "customers_2024.yaml"
    assert shown.startswith(f"wrote {file}\n  target: churned (a guess")
    assert "\n  customers_2024__daily_retrain is created switched off: " in shown
    assert "`windsock models on customers_2024` switches its schedule on\n" in shown
    spec = load_spec(file)
    assert (spec.name, spec.model.owner, spec.data.target) == ("customers_2024", "ann", "churned")
    assert spec.data.source.path == "Customers 2024.csv"
    assert spec.data.entity == "customer_id"
    assert os.listdir(models) == ["customers_2024.yaml"]
    assert run(["validate"]) == 0


def test_it_is_never_overwritten_without_force(models, table, capsys):
    file = models / "mine.yaml"
    file.write_text("precious")
    arguments = ["init", "Customers 2024.csv", "--output", str(file), "--name", "churn"]
    assert run(arguments) == 1
    assert f"{file} is there already" in capsys.readouterr().err
    assert file.read_text() == "precious"
    assert run([*arguments, "--force", "--target", "gender"]) == 0
    assert load_spec(file).data.target == "gender"


def test_a_file_that_appears_meanwhile_is_not_overwritten(models, table, capsys, monkeypatch):
    file = models / "churn.yaml"
    link = os.link

    def late(temporary, target):
        file.write_text("precious")
        return link(temporary, target)

    monkeypatch.setattr("os.link", late)
    assert run(["init", "Customers 2024.csv", "--name", "churn"]) == 1
    assert file.read_text() == "precious"
    assert os.listdir(models) == ["churn.yaml"]


def test_a_disk_that_is_full_leaves_nothing(models, table, capsys, monkeypatch):
    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert run(["init", "Customers 2024.csv"]) == 3
    assert "No space left on device" in capsys.readouterr().err
    assert os.listdir(models) == []


def test_a_first_file_from_a_parquet_file_and_from_a_table(models, table, tmp_path, capsys, monkeypatch):
    table.to_parquet(tmp_path / "customers.parquet")
    assert run(["init", "customers.parquet"]) == 0
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    table.to_sql("orders", create_engine(url), index=False)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", url)
    assert run(["init", "sql://shop/orders"]) == 0
    spec = load_spec(models / "orders.yaml")
    assert (spec.name, spec.data.source.conn_id, spec.data.source.table) == ("orders", "shop", "orders")
    capsys.readouterr()
    monkeypatch.delenv("AIRFLOW_CONN_SHOP")
    assert run(["init", "sql://shop/orders", "--force"]) == 1
    assert "AIRFLOW_CONN_SHOP" in capsys.readouterr().err
    assert run(["init", "sql://shop/orders", "--force", "--database-url", url]) == 0
    assert "make the connection shop, or set AIRFLOW_CONN_SHOP" in capsys.readouterr().out
    assert "sqlite" not in (models / "orders.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["no.csv"], 1, "no.csv"),
        (["Customers 2024.csv", "--target", "chrned"], 1, "did you mean churned?"),
        (["Customers 2024.csv", "--name", "No Name"], 1, "no model name"),
        (["postgresql://ann:hunter2@db/shop"], 1, "an address with credentials"),
        (["sql://shop"], 1, "needs a `query` or a `table`"),
        (["feature_store://view"], 1, "cannot be read yet"),
        ([""], 1, "names neither a file nor a table"),
    ],
)
def test_bad_input_writes_nothing(models, table, capsys, arguments, code, says):
    assert run(["init", *arguments]) == code
    error = capsys.readouterr().err
    assert says in error
    assert "hunter2" not in error
    assert os.listdir(models) == []


def test_places_are_written_so_that_they_are_found_again(
    models, table, tmp_path, tmp_path_factory, monkeypatch
):
    settings = Settings.from_environment()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path / "data")
    assert written(source_of("a.csv"), settings) == "data/a.csv"
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "b.csv"
    elsewhere.write_text("a\n1\n")
    assert written(source_of(str(elsewhere)), settings) == str(elsewhere)
    assert written(source_of("data/a.csv"), settings) == "data/a.csv"
    assert written(source_of("sql://shop/sales.orders"), settings) == "sql://shop/sales.orders"


def test_a_text_that_names_no_source_is_refused():
    with pytest.raises(SpecError, match="no table name"):
        source_of("sql://shop/a b")
