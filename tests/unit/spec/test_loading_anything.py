from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from support.specs import load
from windsock.exceptions import SpecError, WindsockError
from windsock.spec import ModelSpec
from windsock.spec.faults import SpecFaultsError
from windsock.spec.loader import spec_from_bytes
from windsock.spec.registries import CHECKS, ESTIMATORS, METRICS


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_spec_or_a_spec_error(content):
    with suppress(SpecError):
        assert isinstance(spec_from_bytes(content, "churn.yaml"), ModelSpec)


KEYS = st.sampled_from(
    [
        "model",
        "data",
        "training",
        "gate",
        "serving",
        "monitoring",
        "name",
        "source",
        "target",
        "kind",
        "path",
        "table",
    ]
    + [
        "conn_id",
        "candidates",
        "estimator",
        "params",
        "minimum",
        "roc_auc",
        "card",
        "against_champion",
        "not_worse",
    ]
    + [
        "schedule",
        "compute",
        "policy",
        "labels",
        "window",
        "data_source",
        "positive",
        "sensitive",
        "checks",
        "x",
        "[key]",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 10**25)
    | st.floats()
    | st.sampled_from(
        [
            "churn",
            "sql",
            "file",
            "better",
            "30d",
            "daily",
            "ridge",
            "sql://a/b",
            "http://x",
            "",
            "no",
            "0 0 30 2 *",
            "é",
        ]
    )
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
BLOCKS = st.dictionaries(
    st.sampled_from(list(ModelSpec.model_fields)),
    st.dictionaries(KEYS, ANYTHING, max_size=5) | ANYTHING,
    max_size=7,
)


def as_yaml(value):
    text = json.dumps(value, ensure_ascii=False)
    words = {"NaN": ".nan", "Infinity": ".inf", "-Infinity": "-.inf"}
    return re.sub(r'"(?:[^"\\]|\\.)*"|NaN|-?Infinity', lambda found: words.get(found[0], found[0]), text)


@given(BLOCKS)
@settings(max_examples=500, deadline=None)
def test_any_content_gives_a_spec_or_faults_with_a_place_and_a_cure(content):
    try:
        spec = load(as_yaml(content))
    except SpecFaultsError as error:
        for fault in error.faults:
            assert fault.line is not None
            assert fault.allowed or fault.cure, str(fault)
            assert "tagged" not in str(fault)
            assert "Input should" not in str(fault), str(fault)
    else:
        assert isinstance(spec, ModelSpec)


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z0-9]{1,4})?", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
COLUMNS = st.lists(TEXTS, max_size=3, unique=True)
CLASS_METRICS = [name for name, facts in METRICS.items() if "classification" in facts.tasks]
CLASSIFIERS = [name for name, tasks in ESTIMATORS.items() if "classification" in tasks]
POSITIVE = st.floats(1e-3, 1e6)
SPECS = st.fixed_dictionaries(
    {
        "model": st.fixed_dictionaries(
            {"name": NAMES}, optional={"owner": TEXTS, "tier": st.sampled_from(["low", "high"])}
        )
    },
    optional={
        "data": st.fixed_dictionaries(
            {},
            optional={
                "source": st.sampled_from(
                    ["a.csv", "sql://shop/orders", "feature_store://v", {"kind": "api", "url": "x"}]
                ),
                "target": TEXTS.map(lambda text: f"target {text}"),
                "positive": st.none() | st.booleans() | st.integers(-5, 5) | TEXTS,
                "entity": TEXTS,
                "sensitive": COLUMNS,
                "exclude": COLUMNS,
            },
        ),
        "training": st.fixed_dictionaries(
            {},
            optional={
                "schedule": st.sampled_from(["hourly", "weekly", "*/5 * * * *", "0 2 * * mon-fri"]),
                "metric": st.sampled_from(CLASS_METRICS),
                "candidates": st.lists(
                    st.fixed_dictionaries(
                        {"estimator": st.sampled_from(CLASSIFIERS)},
                        optional={
                            "params": st.dictionaries(
                                TEXTS,
                                st.none() | st.booleans() | st.integers() | POSITIVE | TEXTS,
                                max_size=3,
                            ),
                            "search": st.fixed_dictionaries(
                                {"trials": st.integers(1, 1000), "minutes": st.floats(0.1, 1440)}
                            ),
                        },
                    ),
                    max_size=3,
                ),
            },
        ),
        "gate": st.fixed_dictionaries(
            {},
            optional={
                "minimum": st.dictionaries(st.sampled_from(CLASS_METRICS), st.floats(-1e6, 1e6), max_size=3),
                "against_champion": st.just("better") | POSITIVE.map(lambda margin: {"not_worse": margin}),
                "checks": st.lists(st.sampled_from(CHECKS), max_size=3),
                "card": st.dictionaries(st.sampled_from(["intended_use", "limitations"]), TEXTS, max_size=2),
            },
        ),
        "monitoring": st.fixed_dictionaries(
            {},
            optional={
                "data_drift": st.booleans(),
                "window": st.sampled_from(["1d", "12h", "1d 6h"]),
                "alert_channel": TEXTS,
            },
        ),
    },
)


class QuotedDumper(yaml.SafeDumper):
    """Writes every text in quotation marks: PyYAML's own writer leaves 1e5 bare."""


QuotedDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


@given(SPECS)
@settings(max_examples=300, deadline=None)
def test_a_spec_written_as_yaml_loads_as_it_was(content):
    spec = ModelSpec.model_validate(content)
    dumped = spec.model_dump(mode="json")
    for text in (as_yaml(dumped), yaml.dump(dumped, Dumper=QuotedDumper, allow_unicode=True)):
        assert load(text) == spec
    assert load(as_yaml(content)) == spec


def test_every_error_is_windsock_s_own():
    with pytest.raises(WindsockError):
        load("model: {name: churn, owner: !!python/object:os.system {}}")
