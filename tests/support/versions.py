"""Versions of one model that follow each other while its columns change, as real bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from support.builders import NOON, digest
from windsock.adapters.compiled import PipelineCompiler
from windsock.ports import LoadedBundle
from windsock.records import Answer, BundleManifest, ColumnKind, InputField, InputSchema
from windsock.records.request_contract import next_contract
from windsock.training.golden import make_golden
from windsock.training.preprocessing import build_preprocessing, to_features

Column = tuple[ColumnKind, Sequence[Any], str | None, str | None]
"""A column of a month: its kind, values that rows take in turn, and the words of a boolean."""


def make_version(
    columns: Mapping[str, Column], champion: InputSchema | None, *, number: int, required: Sequence[str] = ()
) -> LoadedBundle:
    """Fit the next version on a month's columns, as a training after this champion would.

    :param required: what a person has made required.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    offered = [
        InputField(name=name, kind=kind, true_word=yes, false_word=no)
        for name, (kind, _, yes, no) in columns.items()
    ]
    contract = next_contract(offered, champion, required)
    rows = [
        {
            name: column[1][(at + shift) % len(column[1])]
            for shift, (name, column) in enumerate(columns.items())
        }
        for at in range(60)
    ]
    features = to_features(rows, contract.fields)
    labels = [(at * 7 + number) % 3 > 0 for at in range(60)]
    steps = [
        ("preprocessing", build_preprocessing(contract.fields, "linear")),
        ("estimator", LogisticRegression()),
    ]
    pipeline = Pipeline(steps).fit(features, labels)
    schema = contract.put_into(
        InputSchema(
            model="churn",
            fields=contract.fields,
            answer=Answer.CLASS,
            classes=(False, True),
            positive=True,
        )
    )
    manifest = BundleManifest(
        model="churn",
        key=f"v{number}",
        snapshot_digest=digest("1"),
        spec_digest=digest("2"),
        files={"model.skops": digest("3")},
        created_at=NOON,
    )
    made = LoadedBundle(
        manifest=manifest,
        digest=manifest.content_digest(),
        pipeline=pipeline,
        schema=schema,
        golden=make_golden(pipeline, features, contract.fields),
    )
    compiler = PipelineCompiler()
    return replace(made, compiled=compiler.load(compiler.compile(pipeline, schema), schema))
