"""One operator for each step."""

from __future__ import annotations
