"""The course of faults: they are brought about together, waited for together and ended by what NEXT says."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.life.channel import Post
from support.life.fault import Fault, Lived
from support.life.installation import Life, Seen, by_place

TABLE = "WINDSOCK_LIFE_TABLE"
AT_ONCE = 6


@dataclass
class _Course:
    """A fault under way.

    :ivar begun: when the first of the faults was not there yet.
    :ivar broken: when it had been brought about.
    :ivar cured: when that had been done.
    """

    life: Life
    lived: Lived
    begun: float = field(default_factory=time.monotonic)
    broken: float = 0.0
    cured: float = 0.0
    title: str = ""

    @property
    def fault(self) -> Fault:
        return self.lived.fault

    @property
    def patience(self) -> float:
        return self.life.bound + self.fault.limit

    def wrong(self, what: str) -> None:
        self.lived.faults.append(what)

    def break_(self) -> None:
        try:
            self.fault.break_(self.life)
        except Exception:
            self.wrong(f"could not be brought about: {_last(traceback.format_exc())}")
        self.broken = time.monotonic()

    def is_seen(self) -> bool:
        """Say whether a status has said it; keep what it said first."""
        if self.lived.seen is not None:
            return True
        place = (self.fault.model, self.fault.key)
        for one in self.life.seen(self.broken):
            found = one.findings.get(place)
            if found is not None:
                lived = self.lived
                lived.seen, lived.severity = one.at - self.broken, found["severity"]
                lived.text, lived.next_action = found["text"], found["next"]
                self.title = found["title"]
                if found["code"] != self.fault.code:
                    self.wrong(f"its code is {found['code']}, not {self.fault.code}")
                return True
        return False

    def is_told(self) -> bool:
        """Say whether it was seen, and the channel has it."""
        if not self.is_seen() or not self.fault.is_told:
            return self.is_seen()
        row = self.life.alert(self.fault.model, self.fault.key)
        if row is None or row.state != "firing" or row.pending:
            return False
        posts = [one for one in self.posts() if not one.is_over]
        if posts and self.lived.told is None:
            self.lived.told = max(0.0, posts[0].at - self.broken)
        return bool(posts)

    def posts(self) -> list[Post]:
        """Return what the channel received about it."""
        # The watchdog may have told it while it was still being brought about.
        return self.life.channel.of(self.fault.key, self.title, since=self.begun)

    def last(self) -> Seen | None:
        """Return the latest answer of the status since it was brought about."""
        seen = self.life.seen(self.broken)
        return seen[-1] if seen else None

    def judge_standing(self) -> None:
        """Say what is wrong with how it was found and told."""
        lived, fault = self.lived, self.fault
        if lived.seen is None:
            self.wrong(f"`windsock status` does not say it within {self.patience:.0f} s")
            return
        if lived.seen > self.patience:
            self.wrong(f"it was in the status after {lived.seen:.0f} s, limit: {self.patience:.0f} s")
        if lived.severity != fault.severity:
            self.wrong(f"its severity is {lived.severity}, not {fault.severity}")
        if fault.holds not in lived.text:
            self.wrong(f"its text lacks {fault.holds!r}: {lived.text}")
        if fault.is_told and lived.told is None:
            self.wrong(f"nobody was told within {self.patience:.0f} s")
        if not lived.next_action:
            self.wrong("it has no NEXT")

    def judge_printed(self, printed: Mapping[tuple[str, str], object]) -> None:
        """Say where the command does not print what was found."""
        if self.lived.seen is not None and (self.fault.model, self.fault.key) not in printed:
            self.wrong("`windsock status --json` does not print it")

    def cure(self) -> None:
        """Do what NEXT says."""
        if self.lived.seen is None:
            return
        last = self.last()
        found = last.findings.get((self.fault.model, self.fault.key)) if last else None
        if found is None:
            self.wrong("it ended before anything was done")
        else:  # the latest is what a person reads
            self.lived.text, self.lived.next_action = found["text"], found["next"]
        self.lived.times = len([one for one in self.posts() if not one.is_over])
        try:
            self.lived.did = self.fault.cure(self.life, self.lived.next_action)
        except Exception:
            self.wrong(f"NEXT does not work as written: {_last(traceback.format_exc())}")
        self.cured = time.monotonic()

    def is_over(self) -> bool:
        """Say whether no status says it any more, and the channel was told."""
        if self.lived.seen is None:
            return True
        place = (self.fault.model, self.fault.key)
        if self.lived.over is None:
            for one in self.life.seen(self.cured):
                if place not in one.findings:
                    self.lived.over = one.at - self.cured
                    break
        if self.lived.over is None or not self.fault.is_told:
            return self.lived.over is not None
        row = self.life.alert(*place)
        posts = [one for one in self.posts() if one.is_over]
        if posts and self.lived.told_over is None:
            self.lived.told_over = max(0.0, posts[-1].at - self.cured)
        return row is not None and row.state == "resolved" and not row.pending and bool(posts)

    def follow(self) -> None:
        """See that what the fault stopped goes on."""
        if self.fault.follows is not None and self.lived.over is not None:
            try:
                self.fault.follows(self.life)
            except Exception:
                self.wrong(f"it is over, but what it stopped does not go on: {_last(traceback.format_exc())}")

    def judge_end(self) -> None:
        """Say what is wrong with its end, and with how often anything was told."""
        lived = self.lived
        if lived.seen is None:
            return
        if lived.over is None:
            self.wrong(f"it is not over {self.life.bound:.0f} s after what NEXT says was done")
        if not self.fault.is_told:
            return
        posts = self.posts()
        lived.times = len([one for one in posts if not one.is_over])
        lived.times_over = len([one for one in posts if one.is_over])
        if lived.told is not None and lived.times != 1:
            self.wrong(f"it was told {lived.times} times")
        if lived.over is not None and lived.times_over != 1:
            self.wrong(f"that it is over was told {lived.times_over} times")


def chosen(faults: Iterable[Fault], request: pytest.FixtureRequest) -> list[Fault]:
    """Return the faults whose tests are run: ``-k`` brings about no other."""
    ran = [item for item in request.session.items if item.path == request.path]
    names = {item.callspec.params["name"] for item in ran if hasattr(item, "callspec")}
    return [fault for fault in faults if fault.name in names]


def live_through(life: Life, faults: Sequence[Fault]) -> dict[str, Lived]:
    """Bring faults about that do not disturb each other, and end each as its NEXT says.

    :returns: what became of them, by name; what is wrong with one hides no other.
    """
    if not faults:
        return {}
    courses = [_Course(life, Lived(fault=fault)) for fault in faults]
    with life.watched():
        with ThreadPoolExecutor(AT_ONCE) as pool:  # some wait for a run or a window
            list(pool.map(_Course.break_, courses))
        patience = life.bound + max(fault.limit for fault in faults)
        life.await_(lambda: _all(one.is_told() for one in courses), seconds=patience)
        for one in courses:
            one.judge_standing()
        printed = by_place(life.status())
        for one in courses:
            one.judge_printed(printed)
        for one in courses:
            one.cure()
        life.await_(lambda: _all(one.is_over() for one in courses), seconds=life.bound)
        for one in courses:
            one.judge_end()
    for one in courses:
        one.follow()
    return {one.fault.name: one.lived for one in courses}


def _all(said: Iterable[bool]) -> bool:
    """Return whether all say yes; each is asked, so that each keeps its time."""
    return min(list(said), default=True)


def _last(trace: str) -> str:
    return " | ".join(trace.strip().splitlines()[-12:])[-1500:]


COLUMNS = (
    "fault", "code", "severity", "its limit, s", "in status, s", "told, s (times)", "done, as NEXT says",
    "over, s", "told over, s (times)", "wrong or missing",
)  # fmt: skip


def table_of(lived: Sequence[Lived], *, heartbeat: float) -> str:
    """Return a table of faults in Markdown."""
    lines = [f"The watchdog looks every {heartbeat:.0f} s.", "", _row(COLUMNS), "|---" * len(COLUMNS) + "|"]
    lines += [_line(one) for one in lived]
    wrong = sum(bool(one.faults) for one in lived)
    return "\n".join([*lines, "", f"{len(lived)} faults, wrong or missing: {wrong}"])


def _line(one: Lived) -> str:
    outside = "never" if one.fault.is_told else one.fault.untold
    cells = [
        one.fault.name,
        one.fault.code,
        one.severity or "-",
        f"{one.fault.limit:.0f}",
        _seconds(one.seen, "never"),
        f"{_seconds(one.told, outside)} ({one.times})",
        one.did or "-",
        _seconds(one.over, "never"),
        f"{_seconds(one.told_over, outside)} ({one.times_over})",
        "; ".join(one.faults) or "no",
    ]
    return _row(cells)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def _seconds(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:.0f}"


def show_table(lived: Sequence[Lived], *, heartbeat: float) -> None:
    """Print the table, and add it to the file that :data:`TABLE` names."""
    text = table_of(lived, heartbeat=heartbeat)
    print(f"\n{text}")  # noqa: T201
    if name := os.environ.get(TABLE):
        with Path(name).open("a", encoding="utf-8") as stream:
            stream.write(f"{text}\n\n")
