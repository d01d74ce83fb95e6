"""Pydantic's errors -> faults in the user's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from windsock.spec.faults import Fault, NotAllowedError, closest, dotted, shown
from windsock.spec.flat_form import FLAT_KEYS
from windsock.spec.yaml_reader import KeyPath, YamlDocument

KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a block of keys",
    "model_type": "a block of keys",
}
BOUNDS = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "at most {}"),
    "string_too_short": ("min_length", "at least {} characters"),
    "string_too_long": ("max_length", "at most {} characters"),
    "too_short": ("min_length", "at least {} items"),
    "too_long": ("max_length", "at most {} items"),
}


@dataclass(frozen=True, kw_only=True)
class Translator:
    """Turns what pydantic says about a file into faults.

    :param model: what the file was read as.
    :param content: the values that were validated.
    :param document: the file itself, for its lines.
    :param file: its name, as the user wrote it.
    :param moved: for each key that was moved, its place in the file.
    """

    model: type[BaseModel]
    content: Mapping[str, Any]
    document: YamlDocument
    file: str
    moved: Mapping[KeyPath, KeyPath]

    def faults(self, error: ValidationError) -> list[Fault]:
        """Return every fault; the branches of a choice are one fault."""
        found: dict[KeyPath, list[tuple[str, str, str]]] = {}
        for detail in error.errors(include_url=False):
            path, said = self._read(detail)
            found.setdefault(path, []).append(said)
        return [self.fault(path, *_joined(saids)) for path, saids in found.items()]

    def fault(self, path: KeyPath, problem: str, allowed: str = "", cure: str = "") -> Fault:
        """Return a fault at a path of the content, named and numbered as the file has it."""
        written = self._written(path)
        return Fault(
            file=self.file,
            line=self.document.line(written),
            key=dotted(written),
            problem=problem,
            allowed=allowed,
            cure=cure,
        )

    def _written(self, path: KeyPath) -> KeyPath:
        for here, there in self.moved.items():
            if path[: len(here)] == here:
                return (*there, *path[len(here) :])
        return path

    def _value(self, path: KeyPath) -> Any:
        value: Any = self.content
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _read(self, detail: Any) -> tuple[KeyPath, tuple[str, str, str]]:
        kind, context = detail["type"], detail.get("ctx", {})
        if kind == "extra_forbidden":
            return self._unknown_key(detail["loc"])
        path, annotations = _resolve(self.model, detail["loc"])
        if kind == "missing":
            return self._missing(path)
        if kind == "value_error":
            return self._refused(path, context["error"], of_key=detail["loc"][-1:] == ("[key]",))
        path = self._standing(path)
        value = self._value(path)
        problem, allowed, cure = _type_fault(kind, context, detail["msg"], value, shown(value, dotted(path)))
        if kind == "model_type" and (known := _names(annotations)):
            allowed = f"a block of the keys {', '.join(known)}"
        return path, (problem, allowed, cure)

    def _missing(self, path: KeyPath) -> tuple[KeyPath, tuple[str, str, str]]:
        _, annotations = _resolve(self.model, path[:-1])
        fields = [
            model.model_fields[str(path[-1])]
            for model in _models(annotations)
            if path[-1] in model.model_fields
        ]
        meaning = next((field.description for field in fields if field.description), "")
        # Of a source written as one text, nothing can be missing but the text's own parts.
        place = self._standing(path[:-1])
        whole = (*place, path[-1]) if place == path[:-1] else place
        return whole, ("this key is missing", meaning, f"add {path[-1]}: ...")

    def _standing(self, path: KeyPath) -> KeyPath:
        """Return the part of a path that the file really has: a source may be one text instead of a block."""
        for length in range(len(path)):
            if not isinstance(self._value(path[:length]), dict | list):
                return path[:length]
        return path

    def _refused(
        self, path: KeyPath, error: ValueError, *, of_key: bool
    ) -> tuple[KeyPath, tuple[str, str, str]]:
        problem, allowed, cure = str(error), "", ""
        if isinstance(error, NotAllowedError):
            path = (*path, *error.at)
            problem, allowed, cure = error.problem, error.allowed, error.cure
        path = self._standing(path)
        value = self._value(path)
        if not (of_key or value is None or isinstance(value, dict) or str(value) in problem):
            problem = f"{problem}: {shown(value, dotted(path))}"
        return path, (problem, allowed, cure)

    def _unknown_key(self, loc: Sequence[str | int]) -> tuple[KeyPath, tuple[str, str, str]]:
        parents, annotations = _resolve(self.model, loc[:-1])
        key = str(loc[-1])
        known = _names(annotations)
        also = FLAT_KEYS if parents == ("training",) else ()
        elsewhere = [name for name in known_keys(self.model) if name.rpartition(".")[2] == key]
        cure = closest(key, [*known, *also]) or (
            f"did you mean {' or '.join(elsewhere[:3])}?" if elsewhere else ""
        )
        if key in also:
            cure = "mend the block data first"
        path = (*parents, key)
        value = shown(self._value(path), dotted(path))
        return path, (f"unknown key: {value}", ", ".join(known), cure or "remove it")


def _type_fault(
    kind: str, context: Mapping[str, Any], said: str, value: Any, seen: str
) -> tuple[str, str, str]:
    if kind in KINDS:
        return f"wrong kind: {seen}", KINDS[kind], _kind_cure(kind, value)
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        if isinstance(value, str):
            words = words.replace("items", "characters")
        problem = "out of range" if "than" in kind else "wrong length"
        return f"{problem}: {seen}", words.format(f"{context[name]:g}"), ""
    if kind == "literal_error":
        words = str(context["expected"]).replace("'", "").replace(" or ", ", ").replace("True", "true")
        return f"unknown word: {seen}", words, closest(value, words.split(", "))
    return f"{said}: {seen}", "", ""


def _kind_cure(kind: str, value: Any) -> str:
    plain = isinstance(value, str | int | float)
    if kind == "string_type" and plain:
        return f'quote it: "{str(value).lower() if isinstance(value, bool) else value}"'
    if value is None:
        return "write a value, or remove the line to have the default"
    if kind in ("tuple_type", "list_type") and plain:
        return "put it into brackets: [NAME]"
    if isinstance(value, str) and kind in ("int_type", "float_type", "int_from_float"):
        return "write the number in digits, without quotation marks and without a leading zero"
    return ""


def _joined(saids: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
    problems, allowed, cures = (
        list(dict.fromkeys(part for part in parts if part)) for parts in zip(*saids, strict=True)
    )
    return "; ".join(problems), ", or ".join(allowed), cures[0] if cures else ""


def _options(annotation: Any, tag: str | None = None) -> Iterator[tuple[str | None, Any]]:
    """Yield the plain types behind an annotation, each with the tag that pydantic names it by in an error."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *notes = get_args(annotation)
        tag = next((note.tag for note in notes if isinstance(note, Tag)), tag)
        yield from _options(base, tag)
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _options(member, tag)
    else:
        yield tag, annotation


def _models(annotations: Sequence[Any]) -> list[type[BaseModel]]:
    plain = [option for annotation in annotations for _, option in _options(annotation)]
    return [option for option in plain if isinstance(option, type) and issubclass(option, BaseModel)]


def _names(annotations: Sequence[Any]) -> list[str]:
    return sorted({name for model in _models(annotations) for name in model.model_fields})


def _descend(annotations: Sequence[Any], part: str | int) -> tuple[list[Any], bool]:
    """Return what stands below a part of an error's place, and whether the part is a key (or a tag)."""
    below: list[Any] = []
    tagged: list[Any] = []
    for tag, option in (pair for annotation in annotations for pair in _options(annotation)):
        origin, arguments = get_origin(option), get_args(option)
        if origin is dict and isinstance(part, str) and part != "[key]":
            below.append(arguments[1])
        elif origin is tuple and isinstance(part, int):
            below.append(arguments[0])
        elif isinstance(option, type) and issubclass(option, BaseModel):
            if tag == part:
                tagged.append(option)
            elif part in option.model_fields:
                below.append(option.model_fields[str(part)].annotation)
    return (below, True) if below else (tagged, False)


def _resolve(model: type[BaseModel], loc: Sequence[str | int]) -> tuple[KeyPath, list[Any]]:
    """Return an error's place as a path of the file, without pydantic's tags, and what may stand there."""
    annotations: list[Any] = [model]
    path: list[str | int] = []
    for part in loc:
        below, is_key = _descend(annotations, part)
        if is_key:
            path.append(part)
        if below:
            annotations = below
    return tuple(path), annotations


def known_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the dotted path of every key that a file of this kind may hold."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(name)
        inner = _models([field.annotation, *_items(field.annotation)])
        keys += [f"{name}.{key}" for part in inner for key in known_keys(part)]
    return tuple(dict.fromkeys(keys))


def _items(annotation: Any) -> list[Any]:
    plain = [option for _, option in _options(annotation)]
    return [get_args(option)[-1 if get_origin(option) is dict else 0] for option in plain if get_args(option)]
