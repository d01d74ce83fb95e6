"""``docs/steps.md``, written from the records that the steps take: ``python tests/support/step_page.py``."""

from __future__ import annotations

from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from windsock.records import Record
from windsock.spec import ModelSpec
from windsock.steps.run import STEPS

PAGE = Path(__file__).parents[2] / "docs" / "steps.md"
INTRODUCTION = """# Steps without Airflow

`windsock step NAME --input IN.json --output OUT.json` runs one step, from a JSON object to a JSON
object. The input's keys are below; the output is the step's record, which later steps take as it was
written. A key that is not listed is refused. `spec` is the content of a model's file (the README turns one
into JSON). Exit code 0: done; 1: a verdict says no, or the input is bad; 3: a system did not answer.

This page is made from the records themselves: `python tests/support/step_page.py`.
"""


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for name, step in STEPS.items():
        rows = [
            f"| `{key}` | {words(field.annotation)} | {'required' if field.is_required() else 'optional'} |"
            for key, field in step.input.model_fields.items()
        ]
        parts.append(
            "\n".join(
                [
                    f"## {name}",
                    "",
                    f"Writes a `{step.output.__name__}`.",
                    "",
                    "| key | what | |",
                    "|---|---|---|",
                ]
                + rows
            )
            + "\n"
        )
    return "\n".join(parts)


def words(kind: Any) -> str:
    """Return what a key holds."""
    origin, inner = get_origin(kind), [one for one in get_args(kind) if one is not NoneType]
    if origin in (Union, UnionType):
        named = " or ".join(dict.fromkeys(words(one) for one in inner))
        return f"{named}, or null" if NoneType in get_args(kind) else named
    if origin in (tuple, list, frozenset):
        return f"a list: {words(next(one for one in inner if one is not Ellipsis))}"
    if origin is not None:
        return words(inner[0]) if hasattr(kind, "__metadata__") else "an object"
    if isinstance(kind, type):
        if issubclass(kind, ModelSpec):
            return "the content of the model's file"
        if issubclass(kind, Record):
            return record(kind)
        plain = {bool: "true or false", str: "text", int: "a whole number", float: "a number"}
        return plain.get(kind, f"a `{kind.__name__}`" if kind.__module__.startswith("windsock") else "a time")
    return "text"


def record(kind: type[Record]) -> str:
    """Return a record in words: by the steps that write it, else by its keys."""
    makers = [f"`{name}`" for name, step in STEPS.items() if step.output is kind]
    if makers:
        return f"the record of {' or '.join(makers)}"
    return f"`{kind.__name__}`: {', '.join(f'`{key}`' for key in kind.model_fields)}"


if __name__ == "__main__":
    PAGE.write_text(page())
