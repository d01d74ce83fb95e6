"""``ArchivePredictionRows``: rows of the prediction log, with the labels that arrived for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.feature_values import log_cipher, logged_features, typed_features
from windsock.adapters.label_join import Joined, collect_labels, join
from windsock.adapters.label_sources import Damage, file_labels, posted_labels, table_labels
from windsock.adapters.log_format import PREDICTIONS, hour_start
from windsock.adapters.log_leaves import FEATURES
from windsock.adapters.log_reading import LogReader, moments_of
from windsock.adapters.storage import Storage
from windsock.ports import LabelledRows
from windsock.records import InputSchema, Span
from windsock.spec import LabelsBlock

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SHADOW = "shadow"
MOST_ROWS = 5_000_000
"""Older hours of a stretch are not read once there are so many rows."""
NARROW = (
    "prediction_id",
    "unit",
    "receive_time",
    "version",
    "digest",
    "variant",
    "fallback_for",
    "event_time",
    "score",
    "prediction",
    "inference_ms",
    "request_ms",
)
UNIT = ("prediction_id", "unit", "receive_time")
OFTEN_ALIKE = ("version", "digest", "variant", "fallback_for")


class ArchivePredictionRows:
    """Reads answered rows, from the archive and from segments that are not archived yet.

    :param state_folder: the server's state folder.
    :param storage: the storage root.
    :param keys_dir: the installation's keys, for sensitive values.
    :param roots: folders that label files may lie in.
    :param connections: turns an Airflow connection id into a SQLAlchemy URL, for labels in a table.
    """

    def __init__(
        self,
        state_folder: Path,
        storage: Storage,
        *,
        keys_dir: Path | None,
        roots: tuple[Path, ...],
        connections: Callable[[str], str],
    ) -> None:
        self.reader = LogReader(state_folder, storage)
        self.keys_dir = keys_dir
        self.roots = roots
        self.connections = connections
        self.most_rows = MOST_ROWS

    def sample(
        self, model: str, span: Span, *, schema: InputSchema, digest: str | None = None, limit: int, seed: int
    ) -> pd.DataFrame:
        """Return rows; see :class:`~windsock.ports.PredictionRows`.

        Every row is looked at once and gets a random number; those with the smallest ones are kept, so memory
        does not grow with the log.
        """
        import numpy as np
        import pandas as pd

        names = [field.name for field in schema.fields]
        columns = ["digest", "variant", "score", FEATURES]
        generator = np.random.default_rng(seed)
        pool: list[tuple[Any, pa.Table]] = []
        held, bound = 0, 1.0
        for table in self._tables(model, span, columns, features=names):
            table = _own(table, digest)
            keys = generator.random(table.num_rows)
            pool.append(_below(keys, table, bound))
            held += pool[-1][1].num_rows
            if held > 2 * limit:
                bound = float(np.partition(np.concatenate([kept for kept, _ in pool]), limit)[limit])
                pool = [_below(kept, rows, bound) for kept, rows in pool]
                held = sum(rows.num_rows for _, rows in pool)
        if held > limit:
            bound = float(np.partition(np.concatenate([kept for kept, _ in pool]), limit)[limit])
            pool = [_below(kept, rows, bound) for kept, rows in pool]
        cipher = log_cipher(self.keys_dir)
        frames = []
        for _, table in pool:
            frame = typed_features(table, schema.fields, cipher)
            if "score" not in frame.columns:
                frame["score"] = table["score"].to_numpy().astype("float64")
            frames.append(frame)
        if not frames:
            frames = [typed_features(_nothing(), schema.fields, None).assign(score=np.zeros(0))]
        return pd.concat(frames, ignore_index=True)

    def labelled(
        self,
        model: str,
        span: Span,
        labels: LabelsBlock,
        *,
        schema: InputSchema,
        digest: str | None = None,
        as_of: datetime,
        features: bool = True,
    ) -> LabelledRows:
        """Join answers to labels; see :class:`~windsock.ports.PredictionRows`."""
        damage = Damage()
        answers, cut = self._answers(model, span, damage)
        span = span if cut is None else Span(start=cut, end=span.end)
        timed = labels.kind == "outcomes" or labels.label_time is not None
        known = collect_labels(self._labels(model, labels, span, as_of, damage), as_of, timed=timed)
        once = answers[~answers["prediction_id"].duplicated(keep="last")]
        units = self._units(model, span, as_of, once) if len(known.by_unit) else once
        met = join(once, known, units, schema, ordered=labels.kind == "file")
        own = met.frame if digest is None else met.frame[met.frame["digest"] == digest]
        answered = len(answers) if digest is None else int((answers["digest"] == digest).sum())
        frame = own.reset_index(drop=True)
        if features:
            frame["features"] = self._features(model, span, frame)
        return LabelledRows(
            frame=frame,
            unknown=self._unknown(model, span, as_of, met, once) if timed else 0,
            duplicates=known.duplicates + met.duplicates,
            late=known.late,
            conflicting=int(frame["prediction_id"].isin(met.conflicting).sum()),
            by_order=int(frame["prediction_id"].isin(met.by_order).sum()),
            unusable=known.unusable,
            undated=known.undated,
            repeated=answered - len(frame),
            damaged=damage.lines,
            cut=cut,
        )

    def _answers(self, model: str, span: Span, damage: Damage) -> tuple[pd.DataFrame, datetime | None]:
        """Return all answers of a stretch but shadows', and since when where there are too many."""
        parts: list[pa.Table] = []
        rows, cut = 0, None
        hours = self.reader.hours(PREDICTIONS, model, span)
        for name in reversed(hours):
            with self.reader.hour(PREDICTIONS, model, name) as hour:
                for table in hour.tables(moments_of(span), columns=list(NARROW), features=()):
                    parts.append(_narrow(_own(table, None)))
                    rows += parts[-1].num_rows
            damage.lines += hour.damaged
            begins = hour_start(name)
            if rows >= self.most_rows and begins is not None and begins > span.start:
                cut = begins
                break
        return _frame(parts), cut

    def _labels(
        self, model: str, labels: LabelsBlock, span: Span, as_of: datetime, damage: Damage
    ) -> Iterator[pd.DataFrame]:
        if labels.kind == "table":
            return table_labels(labels, self.connections, span.start)
        if labels.kind == "file":
            return file_labels(labels, self.roots)
        return posted_labels(self.reader, model, span.start, as_of, damage)

    def _units(self, model: str, span: Span, as_of: datetime, answers: pd.DataFrame) -> pd.DataFrame:
        """Return what labels by unit may belong to: answers of the stretch and those after it."""
        import pandas as pd

        here = answers.loc[answers["unit"].notna(), list(UNIT)]
        if as_of <= span.end:
            return here
        after = Span(start=span.end, end=as_of)
        tables = self._tables(model, after, [*UNIT, "variant"], features=())
        parts = [_frame([_narrow(_own(table, None))])[list(UNIT)] for table in tables]
        return pd.concat([here, *(part[part["unit"].notna()] for part in parts)], ignore_index=True)

    def _unknown(self, model: str, span: Span, as_of: datetime, met: Joined, answers: pd.DataFrame) -> int:
        """Return how many labels are of nobody who was answered in the stretch or around it.

        A label that is older than all that is looked at belongs to an answer before: nothing is known of it.
        """
        import numpy as np

        around = [Span(start=span.start - (span.end - span.start), end=span.start)]
        since = np.datetime64(around[0].start.astimezone(UTC).replace(tzinfo=None), "us")
        ids = {one for one, time in met.unmatched.items() if not time < since}
        units = set(met.unmatched_units) - set(answers["unit"].dropna())
        around += [Span(start=span.end, end=as_of)] if as_of > span.end else []
        for stretch in around if ids or units else ():
            for table in self._tables(model, stretch, ["prediction_id", "unit"], features=()):
                ids -= set(table["prediction_id"].to_pylist()) if ids else set()
                units -= set(table["unit"].to_pylist()) if units else set()
                if not ids and not units:
                    return 0
        return len(ids) + sum(unit in units for unit in met.unmatched_units)

    def _features(self, model: str, span: Span, frame: pd.DataFrame) -> pd.Series[Any]:
        """Return the features of the frame's rows with a label."""
        import pandas as pd

        labelled = frame[frame["outcome"].notna()]
        wanted = dict(zip(labelled["prediction_id"], labelled["receive_time"], strict=True))
        cipher = log_cipher(self.keys_dir)
        found: dict[str, dict[str, Any]] = {}
        columns = ["prediction_id", "digest", "variant", "receive_time", FEATURES]
        for table in self.reader.tables(PREDICTIONS, model, span, columns=columns) if wanted else ():
            own = _own(table, None)
            ids = _strings(own, "prediction_id").to_pylist()
            times = own["receive_time"].to_pandas()
            there = [wanted.get(one) == at for one, at in zip(ids, times, strict=True)]
            own = own.filter(pd.array(there, dtype=bool).to_numpy())
            kept = [one for one, is_there in zip(ids, there, strict=True) if is_there]
            found.update(zip(kept, logged_features(own, cipher), strict=True))
        values = [found.get(one) for one in frame["prediction_id"]]
        return pd.Series(values, index=frame.index, dtype=object)

    def _tables(
        self, model: str, span: Span, columns: list[str], *, features: Sequence[str]
    ) -> Iterator[pa.Table]:
        return self.reader.tables(PREDICTIONS, model, span, columns=columns, features=list(features))


def _own(table: pa.Table, digest: str | None) -> pa.Table:
    """Return the rows of a bundle, or of all, that went to clients."""
    import pyarrow.compute as pc

    wanted = pc.not_equal(_strings(table, "variant"), SHADOW)
    if digest is not None:
        wanted = pc.and_(wanted, pc.equal(_strings(table, "digest"), digest))
    return table.filter(wanted)


def _strings(table: pa.Table, name: str) -> Any:
    import pyarrow as pa

    return table[name].cast(pa.string())


def _narrow(table: pa.Table) -> pa.Table:
    """Return the columns of answers; those that a file does not have are null."""
    import pyarrow as pa

    schema = _schema()
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _schema() -> pa.Schema:
    import pyarrow as pa

    numbers = {name: pa.float64() for name in ("score", "inference_ms", "request_ms")}
    times = dict.fromkeys(("receive_time", "event_time"), pa.timestamp("us", tz="UTC"))
    types = {**numbers, **times}
    return pa.schema([(name, types.get(name, pa.string())) for name in NARROW])


def _frame(parts: Sequence[pa.Table]) -> pd.DataFrame:
    """Return answers as a frame in the order of time; ``prediction`` is what its JSON says."""
    import msgspec
    import pandas as pd
    import pyarrow as pa

    whole = pa.concat_tables(parts) if parts else _schema().empty_table()
    whole = whole.sort_by("receive_time")
    said = whole["prediction"].to_pylist()
    decode = msgspec.json.Decoder().decode
    known = {text: decode(text) for text in set(said) if text is not None}
    frame: pd.DataFrame = whole.drop_columns(["prediction"]).to_pandas(categories=list(OFTEN_ALIKE))
    frame["prediction"] = pd.Series([known.get(text) for text in said], dtype=object, index=frame.index)
    return frame


def _below(keys: Any, table: pa.Table, bound: float) -> tuple[Any, pa.Table]:
    if bound >= 1.0:
        return keys, table
    kept = keys < bound
    return keys[kept], table.filter(kept)


def _nothing() -> pa.Table:
    """Return a table of features without rows."""
    from windsock.adapters.log_columns import Columns

    return Columns(PREDICTIONS).table()
