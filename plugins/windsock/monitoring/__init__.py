"""The monitoring room: what a model sees and answers in production, held against its training."""

from __future__ import annotations
