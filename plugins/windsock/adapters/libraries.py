"""``load_libraries``: what the steps of a retrain import, loaded before processes are forked for them."""

from __future__ import annotations

from importlib import import_module

from windsock.adapters.quiet import quiet_libraries

LIBRARIES = (
    "pandas",
    "pyarrow.parquet",
    "mlflow.sklearn",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "skops.io",
    "matplotlib.figure",
    "great_expectations",
)


def load_libraries() -> None:
    """Load the libraries that most tasks of a retrain need; nothing of them is called.

    It takes some four seconds of a core, and saves a part of them in each process that is forked afterwards.
    """
    with quiet_libraries():
        for name in LIBRARIES:
            import_module(name)
