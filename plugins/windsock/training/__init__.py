"""The training room: candidates are fitted on training rows; the best one meets the held-out rows."""

from __future__ import annotations
