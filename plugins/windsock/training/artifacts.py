"""The evaluation's files: pictures and tables from held-out rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windsock.ports import Charts
from windsock.spec import SEED, canonical_json
from windsock.statistics.metrics import Scored, confusion_matrix
from windsock.training.importances import IMPORTANCES
from windsock.training.target import Label

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_POINTS = 2000
"""Most rows that are drawn as dots, and most points of a curve."""
TOP = 20


def picture_files(scored: Scored, classes: Sequence[Label], charts: Charts) -> dict[str, bytes]:
    """Return confusion matrix and curves of a classification, or the residuals of a regression."""
    return _class_pictures(scored, classes, charts) if classes else _number_pictures(scored, charts)


def _class_pictures(scored: Scored, classes: Sequence[Label], charts: Charts) -> dict[str, bytes]:
    import numpy as np

    labels, counts = [str(label) for label in classes], confusion_matrix(scored).tolist()
    files = {
        "evaluation/confusion_matrix.png": charts.confusion_matrix(labels, counts),
        "evaluation/confusion_matrix.json": canonical_json({"labels": labels, "counts": counts}).encode(),
    }
    if np.unique(scored.truth).size > 1:
        files["evaluation/curves.png"] = charts.curves(*_curves(scored))
    return files


def _curves(scored: Scored) -> tuple[tuple[list[float], list[float]], tuple[list[float], list[float]]]:
    """Return the ROC and PR points; with more than two classes, of all one-against-rest questions."""
    import numpy as np
    from sklearn.metrics import precision_recall_curve, roc_curve

    if scored.positive is not None:
        truth, scores = scored.truth == scored.positive, scored.answers[:, scored.positive]
    else:
        truth, scores = np.eye(scored.classes)[scored.truth].ravel() == 1, scored.answers.ravel()
    false_positive, true_positive, _ = roc_curve(truth, scores)
    precision, recall, _ = precision_recall_curve(truth, scores)
    return _thinned(false_positive, true_positive), _thinned(recall, precision)


def _thinned(x: NDArray[Any], y: NDArray[Any]) -> tuple[list[float], list[float]]:
    import numpy as np

    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).astype(int))
    return x[kept].tolist(), y[kept].tolist()


def _number_pictures(scored: Scored, charts: Charts) -> dict[str, bytes]:
    kept = _sample(len(scored.truth))
    predicted, residual = scored.answers[kept], (scored.truth - scored.answers)[kept]
    return {"evaluation/residuals.png": charts.residuals(predicted.tolist(), residual.tolist())}


def _sample(rows: int) -> NDArray[Any]:
    """Return at most :data:`MOST_POINTS` positions, the same for the same number of rows."""
    import numpy as np

    if rows <= MOST_POINTS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SEED).choice(rows, MOST_POINTS, replace=False))


def importance_files(facts: Mapping[str, Any], metric: str, charts: Charts) -> dict[str, bytes]:
    """Return the features whose shuffling costs most of the metric, as a table and a picture.

    :param facts: what the training found out; nothing is returned where it found no importances.
    """
    found = facts.get(IMPORTANCES)
    if not found:
        return {}
    top = sorted(found["lost"], key=lambda row: -row[1])[:TOP]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["feature", f"{metric}_lost", "sd", "repeats"])
    writer.writerows([*row, found["repeats"]] for row in top)
    names, means, sds = ([row[place] for row in top] for place in range(3))
    return {
        "evaluation/importances.csv": text.getvalue().encode(),
        "evaluation/importances.png": charts.importances(names, means, sds),
    }
