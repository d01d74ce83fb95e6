"""A compiled form that does not fit is refused whole, signed or not, and never half used."""

from __future__ import annotations

import copy
import json

import pytest

from windsock.adapters.compiled import PipelineCompiler
from windsock.exceptions import UnverifiedBundleError
from windsock.records import COMPILED_FILE, TREES_FILE


def refused(files, schema) -> str:
    with pytest.raises(UnverifiedBundleError) as error:
        PipelineCompiler().load(files, schema)
    assert error.value.code == "WS-BUNDLE-012"
    return error.value.message


def put(*path):
    *way, last, value = path

    def change(form):
        place = form
        for step in way:
            place = place[step]
        if last == "+":
            place.append(value)
        else:
            place[last] = value

    return change


LINEAR = {
    "another format": put("format", 2),
    "an unknown engine": put("engine", "pickle"),
    "trees without trees": put("engine", "trees"),
    "an unknown link": put("link", "eval"),
    "a link for numbers": put("link", "exp"),
    "more outputs": put("outputs", 2),
    "no outputs": put("outputs", 0),
    "fields of another model": put("fields", 0, "income"),
    "a field less": put("fields", ["age"]),
    "too narrow": put("width", 3),
    "too wide": put("width", 10_000),
    "an extra key": put("__reduce__", "os.system"),
    "a coefficient less": lambda form: form["coefficients"][0].pop(),
    "no intercept": put("intercepts", []),
    "a NaN coefficient": put("coefficients", 0, 0, float("nan")),
    "an infinite mean": put("numbers", 0, "mean", float("inf")),
    "a text for a number": put("numbers", 0, "mean", "much"),
    "a scale of 0": put("numbers", 0, "scale", 0.0),
    "a negative field": put("numbers", 0, "field", -1),
    "a field beyond": put("numbers", 0, "field", 99),
    "a number that stays missing": put("numbers", 0, "missing", []),
    "a category as a number": put("numbers", 0, "field", 1),
    "a number as a category": put("tables", 0, "field", 0),
    "a field twice": lambda form: form["numbers"].append(copy.deepcopy(form["numbers"][0])),
    "a negative column": put("tables", 0, "other", [[-1, 1.0]]),
    "a column beyond": put("tables", 0, "other", [[10**6, 1.0]]),
    "NaN for a linear estimator": put("tables", 0, "other", [[0, None]]),
    "numbers beyond the columns": put("numbers_at", 10**6),
    "an unknown part of a date": put("tables", -1, "part", "year"),
    "a part that is no number": lambda form: form["tables"][-1]["known"].update({"__class__": []}),
    "a part of a category": put("tables", 0, "part", "day"),
}


@pytest.mark.parametrize("name", LINEAR)
def test_tables_that_do_not_fit(cases, name):
    case = cases("logistic_regression")
    form = json.loads(case.files[COMPILED_FILE])
    LINEAR[name](form)
    content = json.dumps(form).encode()
    refused({COMPILED_FILE: content}, case.schema)


TREES = {
    "another width": put("width", 5_000),
    "coefficients": put("coefficients", [[1.0]]),
    "scaled numbers": put("numbers", 0, "scale", 2.0),
    "another link": put("link", "none"),
    "tables that write the same column": lambda form: [
        table.update(other=[[0, 1.0]]) for table in form["tables"][:2]
    ],
    "a table that writes a number's column": lambda form: form["tables"][0].update(
        other=[[form["numbers_at"], 1.0]]
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_tables_that_do_not_fit_their_trees(cases, name):
    case = cases("hist_gradient_boosting")
    form = json.loads(case.files[COMPILED_FILE])
    TREES[name](form)
    refused({**case.files, COMPILED_FILE: json.dumps(form).encode()}, case.schema)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"\x80\x04.", b'{"format":1'])
def test_what_is_no_form(cases, content):
    refused({COMPILED_FILE: content}, cases("ridge", "regression", 0).schema)


def test_files_that_do_not_belong_together(cases):
    linear, trees = cases("logistic_regression"), cases("hist_gradient_boosting")
    three = cases("hist_gradient_boosting", "classification", 3)
    assert "without" in refused({**linear.files, TREES_FILE: trees.files[TREES_FILE]}, linear.schema)
    assert "without" in refused({COMPILED_FILE: trees.files[COMPILED_FILE]}, trees.schema)
    assert "outputs" in refused({**trees.files, TREES_FILE: three.files[TREES_FILE]}, trees.schema)
    refused({TREES_FILE: trees.files[TREES_FILE]}, trees.schema)
    refused(trees.files, three.schema)


@pytest.mark.parametrize("content", [b"", b"trees", b"\x04\x00\x00\x00" * 20])
def test_trees_that_are_none(cases, content):
    case = cases("hist_gradient_boosting")
    assert TREES_FILE in refused({**case.files, TREES_FILE: content}, case.schema)


def test_no_message_quotes_the_content(cases):
    case = cases("logistic_regression")
    form = json.loads(case.files[COMPILED_FILE])
    form["tables"][0]["known"]["secret-city"] = "secret-cells"
    assert "secret" not in refused({COMPILED_FILE: json.dumps(form).encode()}, case.schema)
