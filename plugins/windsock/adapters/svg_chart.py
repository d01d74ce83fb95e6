"""Small line charts as SVG text; colours are classes, so that a page's style decides on light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal, TypeVar

Anchor = Literal["start", "middle", "end"]
T = TypeVar("T")
Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 12, 34
TICKS = 5


def steps_of(low: float, high: float, count: int = TICKS) -> list[float]:
    """Return about so many round numbers between two.

    >>> steps_of(-0.013, 0.021)
    [-0.01, 0.0, 0.01, 0.02]
    """
    rough = (high - low) / max(1, count - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


def thinned(things: Sequence[T], most: int) -> list[T]:
    """Return at most so many of them, evenly, the first and the last among them."""
    if len(things) <= most:
        return list(things)
    gap = (len(things) - 1) / (most - 1)
    return [things[round(number * gap)] for number in range(most)]


class LineChart:
    """One chart; what is drawn later lies above.

    :param across: smallest and largest value from left to right.
    :param upwards: smallest and largest value from bottom to top; what lies outside is cut off.
    :param label: what it shows, for those who cannot see it.
    """

    def __init__(
        self, across: tuple[float, float], upwards: tuple[float, float], *, name: str, label: str
    ) -> None:
        self._across, self._upwards = _wide(across), _wide(upwards)
        self._name, self._label = name, label
        self._parts: list[str] = []

    def x(self, value: float) -> float:
        """Return where a value stands from left to right."""
        low, high = self._across
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return where a value stands from top to bottom, at most a screen outside of the chart."""
        low, high = self._upwards
        share = min(2.0, max(-1.0, (value - low) / (high - low)))
        return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)

    def grid(self, ticks: Iterable[tuple[float, str]]) -> None:
        """Draw a thin line and a number at each of these heights."""
        for value, text in ticks:
            at = self.y(value)
            self._parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
            self._text(LEFT - 6, at + 4, text, "end")

    def below(self, ticks: Iterable[tuple[float, str, Anchor]]) -> None:
        """Write texts below the chart."""
        for value, text, anchor in ticks:
            self._text(self.x(value), HEIGHT - 12, text, anchor)

    def band(self, points: Sequence[tuple[float, float, float]], style: str) -> None:
        """Fill the room between two lines.

        :param points: place, lower and upper value.
        """
        upper = [(x, high) for x, _, high in points]
        lower = [(x, low) for x, low, _ in reversed(points)]
        self._inside(f'<path class="{style}" d="{self._path([*upper, *lower])}Z"/>')

    def line(self, points: Points, style: str) -> None:
        """Draw a line through points."""
        self._inside(f'<path class="{style}" fill="none" d="{self._path(points)}"/>')

    def dots(self, points: Points, style: str) -> None:
        """Draw a dot at each point."""
        for x, y in points:
            self._inside(f'<circle class="{style}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="2.5"/>')

    def bar(self, place: float, low: float, high: float, style: str) -> None:
        """Draw a line from a lower to an upper value."""
        self._inside(f'<path class="{style}" d="M{self.x(place):.1f} {self.y(low):.1f}V{self.y(high):.1f}"/>')

    def level(self, value: float, style: str, text: str = "") -> None:
        """Draw a line from side to side, with a word above its right end."""
        at = self.y(value)
        self._inside(f'<path class="{style}" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        if text:
            self._text(WIDTH - RIGHT - 4, at - 5, text, "end")

    def mark(self, place: float, style: str, text: str = "") -> None:
        """Draw a line from bottom to top, with a word beside its upper end."""
        at = self.x(place)
        self._inside(f'<path class="{style}" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        if text:
            self._text(at + 4, TOP + 12, text, "start")

    def svg(self) -> str:
        """Return the chart as an element of a page."""
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self._label)}">'
            f'<clipPath id="{self._name}"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
            f'height="{HEIGHT - TOP - BOTTOM}"/></clipPath>{"".join(self._parts)}</svg>'
        )

    def _path(self, points: Points) -> str:
        return "M" + "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)

    def _inside(self, element: str) -> None:
        self._parts.append(f'<g clip-path="url(#{self._name})">{element}</g>')

    def _text(self, x: float, y: float, text: str, anchor: Anchor) -> None:
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>')


def _wide(ends: tuple[float, float]) -> tuple[float, float]:
    """Return ends with room between them."""
    low, high = ends
    if high - low > 1e-12 * max(1.0, abs(low), abs(high)):
        return low, high
    room = max(abs(low) * 0.1, 1e-6)
    return low - room, high + room


__all__ = ["LineChart", "steps_of", "thinned"]
