"""Traffic for the demo: rows like those of training, moved as the world might move, with their outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from windsock.exceptions import ServerUnavailableError
from windsock.records import ColumnKind, InputSchema

if TYPE_CHECKING:
    import pandas as pd

    from windsock.spec import ModelSpec

ROWS = 3_000
ROWS_AT_ONCE = 100
SENDERS = 8
SEED = 42
NUMBERS = (ColumnKind.NUMBER, ColumnKind.INTEGER)


@dataclass(frozen=True, kw_only=True)
class MovedRow:
    """A row to ask about, and what will turn out to be true.

    :param unit: whose row it is.
    """

    unit: str
    features: dict[str, Any]
    outcome: Any


def moved_rows(frame: pd.DataFrame, schema: InputSchema, spec: ModelSpec, rows: int = ROWS) -> list[MovedRow]:
    """Draw training rows and mirror their numbers between the smallest and the largest one.

    Who was low is high now: what the model has learned of the numbers misleads it, and can be learned anew.

    :param frame: rows of a snapshot.
    :param rows: how many; drawn with replacement under a fixed seed.
    """
    drawn = frame.sample(n=rows, replace=True, random_state=SEED)
    ends = {
        field.name: float(frame[field.name].min()) + float(frame[field.name].max())
        for field in schema.fields
        if field.kind in NUMBERS and frame[field.name].notna().any()
    }
    moved = []
    for number, (_, row) in enumerate(drawn.iterrows()):
        features = {}
        for field in schema.fields:
            value = _plain(row[field.name])
            if value is not None and field.name in ends:
                value = ends[field.name] - value
                value = int(value) if field.kind is ColumnKind.INTEGER else value
            features[field.name] = value
        moved.append(
            MovedRow(unit=f"moved-{number}", features=features, outcome=_plain(row[spec.data.target]))
        )
    return moved


def _plain(value: Any) -> Any:
    """Return a cell as JSON has it; ``None`` where it is missing."""
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def send_traffic(server_url: str, model: str, rows: Sequence[MovedRow]) -> int:
    """Ask for predictions of all rows, then tell all outcomes; return how many outcomes were taken.

    :raises ServerUnavailableError: if the server does not answer, or refuses.
    """
    with (
        httpx.Client(base_url=server_url, timeout=30.0, trust_env=False) as client,
        ThreadPoolExecutor(SENDERS) as senders,
    ):
        asked = list(senders.map(lambda part: _predict(client, model, part), _parts(rows)))
        pairs = [pair for answered in asked for pair in answered]
        told = list(senders.map(lambda pair: _tell(client, model, *pair), pairs))
    return len(told)


def _parts(rows: Sequence[MovedRow]) -> Iterator[Sequence[MovedRow]]:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield rows[start : start + ROWS_AT_ONCE]


def _predict(client: httpx.Client, model: str, part: Sequence[MovedRow]) -> list[tuple[str, Any]]:
    body = {"features": [row.features for row in part], "unit": [row.unit for row in part]}
    found = _post(client, f"/models/{model}/predict", body)["predictions"]
    return [(answer["prediction_id"], row.outcome) for answer, row in zip(found, part, strict=True)]


def _tell(client: httpx.Client, model: str, prediction_id: str, outcome: Any) -> None:
    _post(client, "/outcomes", {"model": model, "prediction_id": prediction_id, "outcome": outcome})


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = client.post(path, json=body)
    except httpx.HTTPError as error:
        raise ServerUnavailableError(f"{path} did not answer ({type(error).__name__})") from error
    if not answer.is_success:
        raise ServerUnavailableError(f"{path} answered with {answer.status_code}: {answer.text[:300]}")
    content: dict[str, Any] = answer.json()
    return content
