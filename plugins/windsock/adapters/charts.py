"""The evaluation's pictures, drawn by matplotlib without its global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from windsock.adapters.quiet import quiet_libraries
from windsock.texts import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
BLUE, GREY = "#2463a5", "#8a8f98"
MOST_NUMBERED = 12
"""Classes of a confusion matrix up to which its cells and axes are written out."""
LONGEST_NAME = 40


class MatplotlibCharts:
    """Implements :class:`windsock.ports.Charts`. The same input gives the same bytes."""

    def confusion_matrix(self, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> bytes:
        """Draw a confusion matrix; rows are the truth, colours are shares of a row."""
        import numpy as np

        matrix = np.asarray(counts, dtype="float64")
        totals = matrix.sum(axis=1, keepdims=True)
        shares = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
        side = min(9.0, 3.2 + 0.5 * len(labels))
        figure, axes = _figure(side + 0.8, side)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set(title="Confusion matrix", xlabel="answered", ylabel="true")
        if len(labels) <= MOST_NUMBERED:
            names = [_short(label) for label in labels]
            axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(names)), names)
            for (row, column), count in np.ndenumerate(matrix):
                colour = "white" if shares[row, column] > 0.6 else "black"
                axes.text(column, row, f"{int(count):,}", ha="center", va="center", color=colour)
        return _png(figure)

    def curves(
        self, roc: tuple[Sequence[float], Sequence[float]], pr: tuple[Sequence[float], Sequence[float]]
    ) -> bytes:
        """Draw the ROC curve (false, true positive rate) and the PR curve (recall, precision)."""
        figure = _blank(9, 4.2)
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
        left.plot(*roc, color=BLUE)
        left.set(title="ROC curve", xlabel="false positive rate", ylabel="true positive rate")
        right.plot(*pr, color=BLUE)
        right.set(title="Precision and recall", xlabel="recall", ylabel="precision")
        for axes in (left, right):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axes.grid(alpha=0.3)
        return _png(figure)

    def residuals(self, predicted: Sequence[float], residual: Sequence[float]) -> bytes:
        """Draw residuals (true minus predicted) over predictions."""
        figure, axes = _figure(6.4, 4.2)
        axes.axhline(0, color=GREY, linewidth=1)
        axes.scatter(predicted, residual, s=9, alpha=0.4, color=BLUE, linewidths=0)
        axes.set(title="Residuals", xlabel="predicted", ylabel="true minus predicted")
        axes.grid(alpha=0.3)
        return _png(figure)

    def importances(self, names: Sequence[str], means: Sequence[float], sds: Sequence[float]) -> bytes:
        """Draw the most important features, largest first."""
        figure, axes = _figure(7, 1.4 + 0.28 * max(1, len(names)))
        places = range(len(names))
        axes.barh(places, means, xerr=sds, color=BLUE, ecolor=GREY)
        axes.set_yticks(places, [_short(name) for name in names])
        axes.invert_yaxis()
        axes.set(title="Most important features", xlabel="loss of the metric when shuffled")
        axes.grid(axis="x", alpha=0.3)
        return _png(figure)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = _blank(width, height)
    return figure, figure.add_subplot()


def _blank(width: float, height: float) -> Figure:
    with quiet_libraries():
        from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _short(text: str) -> str:
    """Return a name on one line, short enough for an axis, ``$`` taken literally and not as a formula."""
    text = one_line(text)
    cut = text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"
    return cut.replace("$", r"\$")


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    with quiet_libraries():
        figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    return content.getvalue()
