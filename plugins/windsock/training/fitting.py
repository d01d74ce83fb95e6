"""Fitting with care: warnings counted instead of printed, failures turned into refusals, threads bounded."""

from __future__ import annotations

import os
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from windsock.exceptions import TrainingRefusedError
from windsock.library_texts import SHOWN_CHARACTERS

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline


def share_of_threads(candidates: int) -> int:
    """Return how many threads one training may use while others run beside it.

    :param candidates: candidates of the model; each is trained by a process of its own.
    """
    from joblib import cpu_count

    allowed = os.environ.get("OMP_NUM_THREADS", "")
    cpus = min(cpu_count(), int(allowed)) if allowed.isdigit() and int(allowed) else cpu_count()
    return max(1, int(cpus) // max(1, candidates))


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Bound the threads of OpenMP and BLAS."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads):
        yield


@contextmanager
def counted_warnings() -> Iterator[Counter[str]]:
    """Count the libraries' warnings by their kind instead of letting them into the log."""
    counts: Counter[str] = Counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield counts
    counts.update(warning.category.__name__ for warning in caught)


def fit(make: Callable[[pd.DataFrame], Pipeline], features: pd.DataFrame, labels: NDArray[Any]) -> Pipeline:
    """Build and fit a pipeline.

    :param make: returns the unfitted pipeline for these very rows.
    :raises TrainingRefusedError: if the estimator cannot be fitted.
    """
    pipeline = make(features)
    name = type(pipeline[-1]).__name__
    try:
        return pipeline.fit(features, labels)
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise TrainingRefusedError(
            f"{name} could not be fitted on {len(features):,} rows and {features.shape[1]} features: "
            f"{type(error).__name__}{_reason(error)} at {_place(error)}",
            code="WS-TRAINING-010",
            next_action="Mend the candidate's `params` or the data; that line of the library tells what it "
            "asks for.",
        ) from None  # the cause's text may quote a value of the data, and the task's log shows causes


def _reason(error: BaseException) -> str:
    """Return what scikit-learn asks of a parameter, without the value; other texts could hold data."""
    asked = " ".join(str(error).partition(" Got ")[0].split())
    return f": {asked[:SHOWN_CHARACTERS]}" if type(error).__name__ == "InvalidParameterError" else ""


def _place(error: BaseException) -> str:
    """Return the files and lines where the library raised, the innermost first."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))


def answer(pipeline: Pipeline, features: pd.DataFrame) -> NDArray[Any]:
    """Return a fitted pipeline's answers from one call.

    :returns: shape (rows, classes): probabilities in the order of ``classes_``; or shape (rows,): numbers.
    :raises TrainingRefusedError: if it has classes but no probabilities, or an answer is not finite.
    """
    import numpy as np

    is_classifier = hasattr(pipeline, "classes_")
    if is_classifier and not hasattr(pipeline, "predict_proba"):
        raise TrainingRefusedError(
            f"{type(pipeline[-1]).__name__} gives classes without probabilities",
            code="WS-TRAINING-011",
            next_action="Choose an estimator or parameters that give probabilities.",
        )
    given = pipeline.predict_proba(features) if is_classifier else pipeline.predict(features)
    answers = np.asarray(given, dtype="float64")
    if not np.isfinite(answers).all():
        raise TrainingRefusedError(
            f"{type(pipeline[-1]).__name__} answers with values that are not finite",
            code="WS-TRAINING-011",
            next_action="Look for extreme numbers in the features, or choose another estimator.",
        )
    return answers
