"""``windsock init``: a first model file, written after a look at the table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windsock.exceptions import SpecError
from windsock.spec.column_facts import ColumnFacts, SeenColumn, look_at
from windsock.spec.loader import spec_from_bytes
from windsock.spec.proposal import (
    CANNOT_START,
    SHOWN_COLUMNS,
    Proposal,
    epoch_reason,
    names_listed,
    notes_of,
    propose,
    suspects_listed,
    target_reason,
    task_reason,
)
from windsock.spec.written import quoted

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Starter:
    """A model file about to be written.

    :param text: the file; it has been read back and is valid.
    :param notes: what was guessed, one sentence each, for the person who asked.
    """

    text: str
    notes: tuple[str, ...]


def write_starter(
    frame: pd.DataFrame,
    *,
    source: str | Mapping[str, str],
    name: str,
    target: str | None = None,
    owner: str | None = None,
    seen: Mapping[str, SeenColumn] | None = None,
    sensitive_words: Sequence[str] = (),
) -> Starter:
    """Propose a model file for a table.

    :param frame: the rows, as the source gives them.
    :param source: what stands at ``data.source``: a text, or a block with how the file is written.
    :param name: the model's name.
    :param target: the column to predict; default: a guess, which the notes name.
    :param owner: who answers for the model.
    :param seen: columns as the reader of snapshots reads them; default: they are recognised here.
    :param sensitive_words: further words for groups of people.
    :raises SpecError: if the target is not there, cannot be predicted or cannot be guessed.
    """
    columns = look_at(frame, seen, sensitive_words=sensitive_words)
    proposal = propose(columns, target)
    text = "\n".join(_lines(proposal, columns, source, name, owner)) + "\n"
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise SpecError("a column's name cannot be written as UTF-8", code=CANNOT_START) from error
    spec_from_bytes(content, f"{name}.yaml")
    return Starter(text=text, notes=notes_of(proposal))


def model_name(text: str) -> str:
    """Return a name that a model may have, made from a file's or a table's."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return (plain if plain[:1].isalpha() else f"model_{plain}")[:60].strip("_")


def _list(columns: Sequence[ColumnFacts]) -> str:
    return f"[{', '.join(quoted(column.name) for column in columns)}]"


def _lines(
    proposal: Proposal,
    columns: Sequence[ColumnFacts],
    source: str | Mapping[str, str],
    name: str,
    owner: str | None,
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
        f"  task: {proposal.task}   # {task_reason(proposal)}",
        "  tier: low   # people who must approve a version: low 0, medium 1, high 2",
        "",
        "data:",
        f"  source: {_source(source)}",
        f"  target: {quoted(proposal.target.name)}   # {target_reason(proposal)}",
        *_class_lines(proposal),
        *_label_lines(proposal),
        *_identity_lines(proposal),
        *_people_lines(proposal),
        *_exclude_lines(proposal),
        "",
        "training:",
        "  schedule: daily   # hourly, daily (02:00 UTC), weekly, monthly, or cron such as '0 6 * * 1'",
        *_metric_lines(proposal),
        "  # Without candidates a linear model and gradient-boosted trees compete.",
        "  # candidates: [{estimator: random_forest, params: {n_estimators: 200}}]",
        "",
        "gate:",
        "  # Whatever the minimum: a first model must beat one that knows nothing, later ones the champion.",
        f"  # minimum: {{{_minimum(proposal)}}}",
        "  card:   # only a person can write these two; the gate refuses while they are empty",
        '    intended_use: ""',
        '    limitations: ""',
        "",
        "# Without this a new version gets all traffic at once; docs/rollout.md has canary, ab and shadow.",
        f"# rollout: {_rollout(proposal)}",
    ]


def _metric_lines(proposal: Proposal) -> list[str]:
    if proposal.rarest is None:
        return []
    why = f"the rarest class is {proposal.rarest:.2%} of the rows"
    return [f"  metric: average_precision   # {why}; roc_auc and accuracy hardly see it"]


def _minimum(proposal: Proposal) -> str:
    if proposal.rarest is not None:  # by chance it is the class's share, and with more classes their mean
        share = 3 * proposal.rarest if proposal.target.distinct == 2 else 0.5
        return f"average_precision: {min(1.0, share):.2g}"
    return "roc_auc: 0.75" if proposal.task == "classification" else "r2: 0.5"


def _rollout(proposal: Proposal) -> str:
    if proposal.task != "classification":
        return "{strategy: canary, steps: [5, 25, 100], metric: absolute_error, promote: better}"
    metric = "accuracy" if proposal.rarest is None else "conversion"
    return f"{{strategy: canary, steps: [5, 25, 50, 100], metric: {metric}}}"


def _source(source: str | Mapping[str, str]) -> str:
    if isinstance(source, str):
        return quoted(source)
    return f"{{{', '.join(f'{key}: {quoted(value)}' for key, value in source.items())}}}"


def _class_lines(proposal: Proposal) -> list[str]:
    if proposal.task == "regression" or proposal.target.distinct != 2:
        return []
    first, second = (_scalar(proposal, word) for word in proposal.target.classes)
    if proposal.positive is None:
        return [f"  # positive: {second}   # or {first}: the class that scores are for; you must say which"]
    chosen, other = (second, first) if proposal.positive == proposal.target.classes[1] else (first, second)
    return [f"  positive: {chosen}   # the class that scores are for, not {other}"]


def _scalar(proposal: Proposal, word: str) -> str:
    bare = proposal.target.kind in ("integer", "number") or (
        proposal.target.kind == "boolean" and word in ("true", "false")
    )
    return word if bare else quoted(word)


def _label_lines(proposal: Proposal) -> list[str]:
    if not proposal.target.blanks:
        return []
    return [f"  unlabelled: drop   # {proposal.target.blanks:,} rows have no label yet; fail refuses them"]


def _identity_lines(proposal: Proposal) -> list[str]:
    lines = []
    if proposal.entity:
        why = "several rows may share one" if proposal.entity_repeats else "each row has its own"
        use = "kept with its rows" if proposal.event_time else "its rows are held out together, or none is"
        lines.append(f"  entity: {quoted(proposal.entity.name)}   # whose row it is ({why}); {use}")
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
    return [*lines, *_epoch_lines(proposal)]


def _epoch_lines(proposal: Proposal) -> list[str]:
    """Return comments for numbers that would be times: as the event time, and as dates to learn from."""
    lines: list[str] = []
    for column, guess in proposal.epochs[:SHOWN_COLUMNS]:
        name, why = quoted(column.name), epoch_reason(guess)
        if not (proposal.event_time or proposal.dates or lines):
            lines.append(f"  # event_time: {name}   # {why}; take it if it says when a row was seen")
        lines.append(f"  # columns: {{{name}: {{kind: datetime, dates: {guess.unit}}}}}   # {why}")
    return lines


def _people_lines(proposal: Proposal) -> list[str]:
    lines = []
    if proposal.sensitive:
        lines.append(
            f"  sensitive: {_list(proposal.sensitive)}   # groups of people: no features; fairness: later"
        )
    if proposal.personal:
        lines.append(
            "  # About people too, but features now; make them sensitive if not: "
            f"{names_listed(proposal.personal)}"
        )
    return lines


def _exclude_lines(proposal: Proposal) -> list[str]:
    lines = []
    if proposal.suspects:
        suspects = suspects_listed(proposal)
        lines += [
            f"  # Nearly give the answer away; exclude what is not known in time: {suspects}",
            "  # The gate asks a person about each that becomes a feature and is not in known_leaks_checked;",
            "  # a column that identifies rows becomes none.",
        ]
    if proposal.excluded:
        parts = {"hold the answer": proposal.copies, "no value, or one value in all rows": proposal.useless}
        why = "; ".join(f"{what}: {names_listed(found)}" for what, found in parts.items() if found)
        lines.append(f"  exclude: {_list(proposal.excluded)}   # {why}")
    return lines


__all__ = ["Starter", "model_name", "quoted", "write_starter"]
