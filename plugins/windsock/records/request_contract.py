"""The request contract: what a champion's clients send is answered by the version after it, too.

A new version takes over the champion's contract: fields that it does not use are accepted and ignored, new
ones may be left out until a person lists them in ``data.required``, and the kinds of before go on being read.
What a person must answer for is said in sentences; the gate asks about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from windsock.records.bundle import Answer, EarlierKind, InputField, InputSchema
from windsock.records.data import ColumnKind

NUMBERS = frozenset({ColumnKind.NUMBER, ColumnKind.INTEGER})


@dataclass(frozen=True, kw_only=True)
class RequestContract:
    """What requests of a version may hold; see :class:`InputSchema` for its parts."""

    fields: tuple[InputField, ...]
    ignored: tuple[InputField, ...] = ()
    order: tuple[str, ...] = ()
    version: int = 1

    @property
    def content(self) -> dict[str, Any]:
        """Its content as JSON values, for keys."""
        return {
            "fields": [field.model_dump(mode="json", exclude={"form"}) for field in self.fields],
            "ignored": [field.model_dump(mode="json", exclude={"form"}) for field in self.ignored],
            "order": list(self.order),
            "version": self.version,
        }

    def put_into(self, schema: InputSchema) -> InputSchema:
        """Return a schema of these fields with the rest of the contract."""
        return schema.replace(ignored=self.ignored, order=self.order, contract=self.version)


def next_contract(
    fields: Sequence[InputField], champion: InputSchema | None, required: Sequence[str] = ()
) -> RequestContract:
    """Return the contract of a version that comes after a champion.

    :param fields: what the snapshot offers, in its order.
    :param required: names that a person has made required (``data.required``).
    """
    if champion is None:
        return RequestContract(fields=tuple(fields))
    known = {field.name: field for field in champion.request_fields}
    used = {field.name for field in champion.fields}
    offered = {field.name: field for field in fields}
    order = [field.name for field in champion.in_order]
    order += [name for name in offered if name not in known]
    merged = {
        name: _merged(
            field, known.get(name), must=name in required or (name in used and known[name].required)
        )
        for name, field in offered.items()
    }
    kept = tuple(merged[name] for name in order if name in merged)
    ignored = tuple(known[name].replace(required=False) for name in order if name not in merged)
    names = [field.name for field in (*kept, *ignored)]
    made = RequestContract(fields=kept, ignored=ignored, order=() if order == names else tuple(order))
    same = _requests(made.fields, made.ignored, order) == _requests(
        champion.fields, champion.ignored, [field.name for field in champion.in_order]
    )
    return RequestContract(
        fields=made.fields,
        ignored=made.ignored,
        order=made.order,
        version=champion.contract + (not same),
    )


def contract_changes(champion: InputSchema, schema: InputSchema) -> tuple[str, ...]:
    """Return what a person must answer for before a schema follows the champion's, one sentence each.

    What only widens (an integer that becomes a number, a further kind) is no such thing.
    """
    before = {field.name: field for field in champion.request_fields}
    after = {field.name: field for field in schema.request_fields}
    used_before, used = ({field.name for field in one.fields} for one in (champion, schema))
    said = [f"requests with field {name!r} would be refused" for name in before if name not in after]
    said += [
        f"field {name!r} is not used any more; requests may still hold it"
        for name in before
        if name in used_before and name not in used and name in after
    ]
    for name in (field.name for field in schema.fields):
        must = "requests must hold it" if after[name].required else "requests may leave it out"
        if name not in before:
            said.append(f"field {name!r} is new; {must}")
        elif name not in used_before:
            said.append(f"field {name!r} is used again; {must}")
        else:
            said += _narrowed(before[name], after[name])
    first = [field.name for field in champion.in_order]
    if [field.name for field in schema.in_order][: len(first)] != first:
        said.append("values without names would be read in another order")
    return (*said, *_answers(champion, schema))


def _merged(new: InputField, known: InputField | None, *, must: bool) -> InputField:
    if known is None:
        return new.replace(required=must, nullable=True)
    both_numbers = {new.kind, known.kind} == NUMBERS
    kind = ColumnKind.NUMBER if both_numbers else new.kind
    merged = new.replace(kind=kind, required=must, nullable=known.nullable or new.nullable)
    before = (*known.earlier, kind_of(known))
    return merged.replace(earlier=tuple(dict.fromkeys(one for one in before if one != kind_of(merged))))


def kind_of(field: InputField) -> EarlierKind:
    """Return what a field takes now, as a version after it keeps it."""
    return EarlierKind(kind=field.kind, true_word=field.true_word, false_word=field.false_word)


def _takes(field: InputField, kind: EarlierKind) -> bool:
    """Return whether a field takes every value of a kind as one of its own."""
    if field.kind is ColumnKind.BOOLEAN and kind.kind is ColumnKind.BOOLEAN:
        own = {field.true_word, field.false_word}
        return {kind.true_word, kind.false_word} - {None} <= own and (
            kind.true_word is None or kind.true_word == field.true_word
        )
    if field.kind is ColumnKind.CATEGORY:
        return kind.kind is not ColumnKind.BOOLEAN
    return kind.kind is field.kind or (field.kind is ColumnKind.NUMBER and kind.kind in NUMBERS)


def _narrowed(before: InputField, after: InputField) -> list[str]:
    name, said = before.name, []
    if after.required and not before.required:
        said.append(f"requests must hold field {name!r} from now on")
    if before.nullable and not after.nullable:
        said.append(f"field {name!r} may not be null any more")
    kind = kind_of(before)
    worded = after.kind is ColumnKind.CATEGORY and before.true_word is not None
    if not (_takes(after, kind) or worded):
        how = "one of before is read by its word, or as missing" if kind in after.earlier else "refused"
        said.append(f"field {name!r} is a {after.kind.value}, it was a {before.kind.value}: {how}")
    if any(not _takes(after, one) and one not in after.earlier for one in before.earlier):
        said.append(f"field {name!r} takes fewer kinds than before")
    return said


def _requests(
    fields: Sequence[InputField], ignored: Sequence[InputField], order: Sequence[str]
) -> tuple[Any, ...]:
    """Return what decides which requests are right."""
    plain = [tuple(field.replace(sensitive=False, form=None) for field in some) for some in (fields, ignored)]
    return (*plain, tuple(order))


def _answers(champion: InputSchema, schema: InputSchema) -> list[str]:
    if champion.answer is not schema.answer:
        said = {Answer.CLASS: "classes", Answer.NUMBER: "numbers"}
        return [f"answers are {said[schema.answer]}, they were {said[champion.answer]}"]
    if champion.positive != schema.positive or type(champion.positive) is not type(schema.positive):
        return ["the score is the probability of another class than before"]
    return []
