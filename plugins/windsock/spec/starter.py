"""``windsock init``: a first model file, written after a look at the table."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windsock.exceptions import SpecError
from windsock.spec.column_facts import (
    MANY,
    PERSONAL,
    PREDICTED,
    ColumnFacts,
    can_be_target,
    guess_entity,
    guess_event_time,
    guess_target,
    look_at,
)
from windsock.spec.faults import closest, shown
from windsock.spec.loader import spec_from_bytes
from windsock.spec.registries import Task
from windsock.spec.yaml_reader import plain_value

if TYPE_CHECKING:
    import pandas as pd

CANNOT_START = "WS-SPEC-008"
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
YAML_1_1_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
SHOWN_COLUMNS = 10


@dataclass(frozen=True, kw_only=True)
class Starter:
    """A model file about to be written.

    :param text: the file; it has been read back and is valid.
    :param notes: what was guessed, one sentence each, for the person who asked.
    """

    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Proposal:
    target: ColumnFacts
    guessed: bool
    task: Task
    entity: ColumnFacts | None
    event_time: ColumnFacts | None
    sensitive: tuple[ColumnFacts, ...]
    personal: tuple[ColumnFacts, ...]
    useless: tuple[ColumnFacts, ...]
    suspects: tuple[ColumnFacts, ...]
    dates: tuple[ColumnFacts, ...]


def write_starter(
    frame: pd.DataFrame, *, source: str, name: str, target: str | None = None, owner: str | None = None
) -> Starter:
    """Propose a model file for a table.

    :param frame: the rows, as the source gives them.
    :param source: what stands at ``data.source``.
    :param name: the model's name.
    :param target: the column to predict; default: a guess, which the notes name.
    :param owner: who answers for the model.
    :raises SpecError: if the target is not there, cannot be predicted or cannot be guessed.
    """
    columns = look_at(frame)
    proposal = _propose(columns, target)
    text = "\n".join(_lines(proposal, columns, source, name, owner)) + "\n"
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise SpecError("a column's name cannot be written as UTF-8", code=CANNOT_START) from error
    spec_from_bytes(content, f"{name}.yaml")
    return Starter(text=text, notes=_notes(proposal))


def model_name(text: str) -> str:
    """Return a name that a model may have, made from a file's or a table's."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return (plain if plain[:1].isalpha() else f"model_{plain}")[:60].strip("_")


def quoted(text: str) -> str:
    """Return a text as YAML: bare where every reader takes it for text, else in quotation marks."""
    bare = PLAIN.fullmatch(text) and text.lower() not in YAML_1_1_WORDS and isinstance(plain_value(text), str)
    if bare:
        return text
    letters = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in letters)


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


def _propose(columns: Sequence[ColumnFacts], target: str | None) -> _Proposal:
    chosen = guess_target(columns) if target is None else _named(columns, target)
    if chosen is None:
        raise SpecError(
            f"none of the {len(columns)} columns looks like something to predict",
            code=CANNOT_START,
            next_action="Say which it is with --target COLUMN.",
        )
    rest = [column for column in columns if column is not chosen]
    entity = guess_entity(rest)
    event_time = guess_event_time(rest)
    sensitive = tuple(column for column in rest if column.is_sensitive)
    taken = (entity, event_time, *sensitive)
    others = [column for column in rest if column not in taken]
    return _Proposal(
        target=chosen,
        guessed=target is None,
        task="regression"
        if chosen.kind in ("number", "integer") and chosen.distinct > MANY
        else "classification",
        entity=entity,
        event_time=event_time,
        sensitive=sensitive,
        personal=tuple(column for column in others if column.words & PERSONAL and column.distinct > 1),
        useless=tuple(column for column in others if column.distinct < 2),
        suspects=tuple(column for column in others if _may_tell(column, chosen)),
        dates=tuple(column for column in others if column.kind == "datetime"),
    )


def _may_tell(column: ColumnFacts, target: ColumnFacts) -> bool:
    return column.distinct > 1 and bool(column.words & PREDICTED or target.words <= column.words)


def _named(columns: Sequence[ColumnFacts], target: str) -> ColumnFacts:
    found = next((column for column in columns if column.name == target), None)
    names = [column.name for column in columns]
    if found is None:
        listed = ", ".join(quoted(name) for name in names[: SHOWN_COLUMNS * 3])
        raise SpecError(
            f"there is no column {shown(target)}; columns: {listed}; {closest(target, names)}".rstrip("; "),
            code=CANNOT_START,
            next_action="Name one of the columns with --target.",
        )
    if not can_be_target(found):
        raise SpecError(
            f"column {quoted(target)} cannot be predicted: {_kind(found)}, {found.distinct:,} values in "
            f"{found.rows:,} rows",
            code=CANNOT_START,
            next_action="Name a column with classes or numbers with --target.",
        )
    return found


def _kind(column: ColumnFacts) -> str:
    return {"empty": "no values", "datetime": "dates", "text": "text", "boolean": "yes or no"}.get(
        column.kind, "numbers"
    )


def _list(columns: Sequence[ColumnFacts]) -> str:
    return f"[{', '.join(quoted(column.name) for column in columns)}]"


def _some(columns: Sequence[ColumnFacts]) -> str:
    more = f" and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
    return ", ".join(quoted(column.name) for column in columns[:SHOWN_COLUMNS]) + more


def _target_reason(proposal: _Proposal) -> str:
    how = "a guess: correct it if it is wrong" if proposal.guessed else "as asked"
    return f"{how}; {_kind(proposal.target)}, {proposal.target.distinct:,} different values"


def _notes(proposal: _Proposal) -> tuple[str, ...]:
    notes = [
        f"target: {quoted(proposal.target.name)} ({_target_reason(proposal)}), so the task is {proposal.task}"
    ]
    if proposal.entity:
        notes.append(f"entity: {quoted(proposal.entity.name)}")
    if proposal.event_time:
        notes.append(f"event_time: {quoted(proposal.event_time.name)}")
    if proposal.sensitive:
        notes.append(f"sensitive, so no features: {_some(proposal.sensitive)}")
    if proposal.suspects:
        notes.append(
            f"may give the answer away; exclude what is not known in time: {_some(proposal.suspects)}"
        )
    notes.append("the gate refuses every model until gate.card says its intended_use and limitations")
    return tuple(notes)


def _lines(
    proposal: _Proposal, columns: Sequence[ColumnFacts], source: str, name: str, owner: str | None
) -> list[str]:
    owned = (
        quoted(owner) if owner else "unknown   # write who answers for the model, such as ds-team@company.com"
    )
    return [
        f"# A first model file, written after a look at {columns[0].rows:,} rows and {len(columns)} columns.",
        "# Check it with `windsock validate`; every key and its default is in docs/spec.md.",
        "",
        "model:",
        f"  name: {quoted(name)}",
        f"  owner: {owned}",
        f"  task: {proposal.task}   # {_task_reason(proposal)}",
        "  tier: low   # people who must approve a version: low 0, medium 1, high 2",
        "",
        "data:",
        f"  source: {quoted(source)}",
        f"  target: {quoted(proposal.target.name)}   # {_target_reason(proposal)}",
        *_class_lines(proposal),
        *_identity_lines(proposal),
        *_people_lines(proposal),
        *_exclude_lines(proposal),
        "",
        "training:",
        "  schedule: daily   # hourly, daily (02:00 UTC), weekly, monthly, or cron such as '0 6 * * 1'",
        "  # Without candidates a linear model and gradient-boosted trees compete.",
        "  # candidates: [{estimator: random_forest, params: {n_estimators: 200}}]",
        "",
        "gate:",
        "  # Without a minimum a first model must beat a model that knows nothing; later ones the champion.",
        f"  # minimum: {{{'roc_auc: 0.75' if proposal.task == 'classification' else 'r2: 0.5'}}}",
        "  card:   # only a person can write these two; the gate refuses while they are empty",
        '    intended_use: ""',
        '    limitations: ""',
        "",
        "# Without this a new version gets all traffic at once; docs/rollout.md has canary, ab and shadow.",
        "# rollout: {strategy: canary, steps: [5, 25, 50, 100], metric: accuracy}"
        if proposal.task == "classification"
        else "# rollout: {strategy: canary, steps: [5, 25, 100], metric: absolute_error, promote: better}",
    ]


def _task_reason(proposal: _Proposal) -> str:
    if proposal.task == "regression":
        return f"the target is a number with more than {MANY} different values"
    return f"the target has {proposal.target.distinct:,} classes"


def _class_lines(proposal: _Proposal) -> list[str]:
    if proposal.task == "regression" or proposal.target.distinct != 2:
        return []
    return ["  # positive: ...   # the class that scores are for; default: yes/true, else the last one"]


def _identity_lines(proposal: _Proposal) -> list[str]:
    lines = []
    if proposal.entity:
        why = "each row has its own" if proposal.entity.unique else "several rows may share one"
        lines.append(
            f"  entity: {quoted(proposal.entity.name)}   # identity of a row ({why}); fixes its held-out side"
        )
    else:
        lines.append(
            "  # entity: ...   # no column looks like an id; without one a row's content is its identity"
        )
    if proposal.event_time:
        lines.append(
            f"  event_time: {quoted(proposal.event_time.name)}   # when it was seen; the latest are held out"
        )
    elif proposal.dates:
        lines.append(
            f"  # event_time: {quoted(proposal.dates[0].name)}   # take it if it says when a row was seen"
        )
    return lines


def _people_lines(proposal: _Proposal) -> list[str]:
    lines = []
    if proposal.sensitive:
        lines.append(
            f"  sensitive: {_list(proposal.sensitive)}   # groups of people: no features; fairness: later"
        )
    if proposal.personal:
        lines.append(
            f"  # About people too, but features now; make them sensitive if not: {_some(proposal.personal)}"
        )
    return lines


def _exclude_lines(proposal: _Proposal) -> list[str]:
    lines = []
    if proposal.suspects:
        lines.append(
            f"  # May give the answer away; exclude what is not known in time: {_some(proposal.suspects)}"
        )
    if proposal.useless:
        lines.append(f"  exclude: {_list(proposal.useless)}   # no value, or one value in all rows")
    return lines
