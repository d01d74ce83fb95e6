"""What requests may hold while versions of several contracts stand in one plan: what any of them takes."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.records import EarlierKind, InputField, InputSchema
from windsock.records.request_contract import kind_of


def shared_schema(schema: InputSchema, others: Sequence[InputSchema]) -> InputSchema:
    """Return a version's schema, widened by what requests to other versions of its plan may hold.

    Its own fields and their order stay. A field is required only where each of the versions requires it.
    """
    asked = (schema.fields, schema.ignored, schema.order)
    if all((one.fields, one.ignored, one.order) == asked for one in others):
        return schema
    known = [{field.name: field for field in other.request_fields} for other in others]
    fields, ignored = (
        tuple(_widened(field, [names.get(field.name) for names in known]) for field in some)
        for some in (schema.fields, schema.ignored)
    )
    own = {field.name for field in schema.request_fields}
    further: dict[str, InputField] = {}
    for other in others:
        for field in other.in_order:
            if field.name not in own and field.name not in further:
                further[field.name] = _widened(
                    field.replace(required=False), [names.get(field.name) for names in known]
                )
    return schema.replace(
        fields=fields,
        ignored=(*ignored, *further.values()),
        order=(*(field.name for field in schema.in_order), *further),
    )


def _widened(field: InputField, others: Sequence[InputField | None]) -> InputField:
    there = [other for other in others if other is not None]
    kinds: list[EarlierKind] = list(field.earlier)
    for other in there:
        kinds += (kind_of(other), *other.earlier)
    return field.replace(
        required=field.required and all(other is not None and other.required for other in others),
        nullable=field.nullable or any(other.nullable for other in there),
        earlier=tuple(dict.fromkeys(kind for kind in kinds if kind != kind_of(field))),
    )
