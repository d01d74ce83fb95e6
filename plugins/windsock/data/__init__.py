"""The data room: from a source to a snapshot that may be trained on."""

from __future__ import annotations
