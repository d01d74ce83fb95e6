"""The flat form that other teams write: keys of ``training`` that belong to ``data``."""

from __future__ import annotations

from typing import Any

from windsock.spec.faults import NotAllowedError

FLAT_KEYS = {"data_source": "source", "target": "target", "target_column": "target"}
"""Keys of ``training`` in the flat form, with the key of ``data`` that each stands for."""


def flat_to_blocks(raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Move the keys of the flat form that other teams write to where Windsock keeps them.

    ``training.data_source`` is ``data.source``, ``training.target`` is ``data.target``.

    :param raw: the file's content.
    :returns: the content by blocks, and for each moved key its path as the user wrote it.
    :raises NotAllowedError: if a key stands in both places.
    """
    blocks = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    moved: dict[str, str] = {}
    training = blocks.get("training")
    if not isinstance(training, dict):
        return blocks, moved
    if blocks.get("data") is None:
        blocks["data"] = {}
    data = blocks["data"]
    for old, new in FLAT_KEYS.items():
        if old not in training or not isinstance(data, dict):
            continue
        if new in data:
            first = moved.get(f"data.{new}", f"data.{new}")
            raise NotAllowedError(
                f"{first} says the same thing", cure="keep one of the two", at=("training", old)
            )
        data[new] = training.pop(old)
        moved[f"data.{new}"] = f"training.{old}"
    return blocks, moved
