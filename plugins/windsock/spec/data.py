"""``DataBlock``: which rows a model learns from, and what their columns mean."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from windsock.spec.base import Frozen
from windsock.spec.columns import ColumnBlock
from windsock.spec.durations import Duration
from windsock.spec.faults import NotAllowedError
from windsock.spec.row_conditions import Condition
from windsock.spec.sources import Source


class DataBlock(Frozen):
    """Which rows, and what their columns mean."""

    source: Source | None = Field(
        default=None, description="where the rows are: a file, sql://CONN_ID/TABLE, or a block with its kind"
    )
    target: str = Field(default="target", min_length=1, description="the column to predict")
    positive: str | int | float | bool | None = Field(
        default=None,
        description="the class that scores are for; default: true, else the last in sorted order",
    )
    entity: str | None = Field(
        default=None,
        description="whose row it is; without event_time its rows are held out together and for life",
    )
    event_time: str | None = Field(default=None, description="the latest span is held out")
    sensitive: tuple[str, ...] = Field(
        default=(), description="groups of people; no features unless listed (fairness: later)"
    )
    features: tuple[str, ...] = Field(default=(), description="only these columns are features; default: all")
    exclude: tuple[str, ...] = Field(default=(), description="these columns are no features")
    known_leaks_checked: tuple[str, ...] = Field(
        default=(),
        description="columns that look as if they gave the target away, which a person has checked: they are "
        "known at prediction time",
    )
    copied_rows_checked: bool = Field(
        default=False,
        description="a person has checked that held-out rows which equal training rows are events of their "
        "own, not copies",
    )
    required: tuple[str, ...] = Field(
        default=(), description="columns that must be there, in the data and in requests"
    )
    data_window: Duration | None = Field(
        default=None, description="how far back training looks; needs event_time"
    )
    accept_changes_until: date | None = Field(
        default=None,
        description="a day: data that differ from what was accepted before pass up to and with it",
    )

    unlabelled: Literal["fail", "drop"] = Field(
        default="fail", description="rows without a target: refuse the data, or leave the rows out"
    )
    where: dict[str, Condition] = Field(
        default_factory=dict,
        max_length=50,
        description="only rows that hold: COLUMN: VALUE, COLUMN: [VALUES] or COLUMN: {min: ..., max: ...}",
    )
    columns: dict[str, ColumnBlock] = Field(
        default_factory=dict, description="what single columns mean, over the data contract"
    )

    @model_validator(mode="after")
    def _columns_are_one_thing(self) -> Self:
        for role in ("entity", "event_time"):
            if getattr(self, role) == self.target:
                raise NotAllowedError(
                    "the target column stands here too", cure="name another column, or none", at=(role,)
                )
        keyed = {self.target: "target", self.entity: "entity", self.event_time: "event_time"}
        for name, column in self.columns.items():
            place = ("columns", name)
            if column.role and name in keyed:
                raise NotAllowedError(
                    f"the column is data.{keyed[name]}", cure="remove the role", at=(*place, "role")
                )
            if column.classes and name != self.target:
                raise NotAllowedError(
                    "only the target has classes", cure="remove them", at=(*place, "classes")
                )
            if column.unique is not None and name != self.entity:
                raise NotAllowedError(
                    "only the entity is held to be unique", cure="remove it", at=(*place, "unique")
                )
            if (key := self._key_against(name, column)) is not None:
                raise NotAllowedError(
                    f"the role {column.role} does not go with data.{key}",
                    cure=f"remove the role, or change data.{key}",
                    at=(*place, "role"),
                )
        return self

    def _key_against(self, name: str, column: ColumnBlock) -> str | None:
        """Return the key of this block that says something else of a column's role."""
        against = {
            "feature": ("exclude", "sensitive"),
            "sensitive": ("features", "exclude"),
            "ignored": ("features", "sensitive"),
        }
        for key in against.get(column.role or "", ()):
            if name in getattr(self, key):
                return key
        unlisted = column.role == "feature" and self.features and name not in self.features
        return "features" if unlisted else None

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        for role in ("features", "exclude", "sensitive", "known_leaks_checked"):
            if self.target in getattr(self, role):
                raise NotAllowedError("the target column stands here too", cure="take it out", at=(role,))
        if both := set(self.features) & set(self.exclude):
            raise NotAllowedError(
                f"{len(both)} column(s) stand in `features` too: {', '.join(sorted(both)[:10])}",
                cure="keep each in one of them",
                at=("exclude",),
            )
        if both := set(self.known_leaks_checked) & set(self.exclude):
            raise NotAllowedError(
                f"{len(both)} column(s) stand in `exclude` too: {', '.join(sorted(both)[:10])}",
                cure="keep each in one of them: an excluded column leaks nothing",
                at=("known_leaks_checked",),
            )
        if self.data_window and not self.event_time:
            raise NotAllowedError(
                "a data window needs to know when a row happened",
                cure="add `event_time`, the column that dates a row",
                at=("data_window",),
            )
        return self
