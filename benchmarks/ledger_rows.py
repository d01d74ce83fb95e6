"""Roll back and promotion on a long ledger: every row proved, from a process that has seen none of it."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "plugins"), str(PROJECT / "tests")]

from support.builders import digest  # noqa: E402
from support.ledgers import ANSWER, sql_ledger  # noqa: E402
from support.world import MODEL, back, deploy, promote, world_of  # noqa: E402
from windsock.adapters.database import writing  # noqa: E402
from windsock.adapters.ledger_table import SqlLedger  # noqa: E402
from windsock.records import LedgerAction, LedgerEntry, LedgerMark  # noqa: E402


def lengthen(ledger: Any, url: str, rows: int) -> None:
    """Write so many answers to a version, in one transaction."""
    known = ledger.rows(MODEL)
    entry = LedgerEntry(
        model=MODEL, action=LedgerAction.APPROVE, epoch=0, version="7", digest=digest("7"), actor="ann",
        body=ANSWER,
    )  # fmt: skip
    last = known[-1]
    with writing(url) as connection:
        for _ in range(rows):
            last = ledger._write(connection, entry, seq=last.seq + 1, previous=last.hash)
    epoch = max(row.epoch for row in known)
    ledger._marks.put(LedgerMark(model=MODEL, seq=last.seq, hash=last.hash, epoch=epoch))


def timed(act: Any) -> float:
    """Return how long something takes, in seconds."""
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


LIMIT = 2.0
"""Seconds that a promotion and a roll back may take on a ledger of 100,000 rows."""


def main() -> int:
    """Measure with few rows and with many, side by side; 1 if a promotion or roll back is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    asked = parser.parse_args()
    print(
        f"{'rows':>9} {'read, s':>9} {'again, s':>9} {'promote, s':>11} {'roll back, s':>13} {'whole, s':>9}"
    )
    slowest = 0.0
    for rows in (100, asked.rows):
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/control.db"
            world = world_of(1, 2, ledger=sql_ledger(url))
            lengthen(world.ledger, url, rows)
            reader = sql_ledger(url)
            read = timed(lambda reader=reader: reader.rows(MODEL))
            again = timed(lambda reader=reader: reader.rows(MODEL))
            deploy(replace(world, ledger=sql_ledger(url)), 3)
            fresh = replace(world, ledger=sql_ledger(url))  # each step is a process of its own
            promoting = timed(lambda fresh=fresh: promote(fresh, 3))
            fresh = replace(world, ledger=sql_ledger(url))
            rolling = timed(lambda fresh=fresh: back(fresh))
            checker: SqlLedger = sql_ledger(url)
            whole = timed(lambda checker=checker: checker.verify(MODEL))
            print(f"{rows:>9,} {read:>9.2f} {again:>9.2f} {promoting:>11.2f} {rolling:>13.2f} {whole:>9.2f}")
            slowest = max(slowest, promoting, rolling)
    print(f"limit {LIMIT:g} s: {'met' if slowest < LIMIT else 'missed'}")
    return int(slowest >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
