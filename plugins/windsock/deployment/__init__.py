"""The deployment room: versions behind the server, roll back, housekeeping."""

from __future__ import annotations
