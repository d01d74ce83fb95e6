"""The same daily retrain as a plain scikit-learn + MLflow script, as tutorials write it.

Reads the CSV, cross-validates two candidates, fits the better one, scores it on held-out rows, logs numbers,
pictures, importances and the model to MLflow, and registers a version. No snapshot, no expectations, no
intervals, no gate, no signature, no server.

Usage: ``plain_retrain.py CSV TARGET FOLDER``
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import mlflow
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler


def main(csv: str, target: str, folder: str) -> None:
    """Retrain once."""
    home = Path(folder)
    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
    mlflow.create_experiment("plain", artifact_location=str(home / "artifacts"))
    mlflow.set_experiment("plain")
    frame = pd.read_csv(csv)
    y = frame.pop(target).astype(str)
    positive = sorted(y.unique())[-1]
    frame = frame[
        [name for name in frame if frame[name].nunique() < len(frame) * 0.5 or frame[name].dtype != "str"]
    ]
    numbers = frame.select_dtypes("number").columns
    words = frame.columns.difference(numbers)
    frame[words] = frame[words].astype(object)
    folds = StratifiedKFold(5, shuffle=True, random_state=42)
    x_train, x_test, y_train, y_test = train_test_split(
        frame, y == positive, test_size=0.2, random_state=42, stratify=y
    )
    scale = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    linear = make_pipeline(
        ColumnTransformer([("n", scale, numbers), ("c", OneHotEncoder(handle_unknown="ignore"), words)]),
        LogisticRegression(max_iter=1000),
    )
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    trees = make_pipeline(
        ColumnTransformer([("n", "passthrough", numbers), ("c", ordinal, words)]),
        HistGradientBoostingClassifier(random_state=42),
    )
    scores = {}
    for name, candidate in {"linear": linear, "trees": trees}.items():
        with mlflow.start_run(run_name=name):
            found = cross_val_score(candidate, x_train, y_train, cv=folds, scoring="roc_auc")
            scores[name] = (found.mean(), candidate)
            mlflow.log_metrics({"cv_mean": found.mean(), "cv_sd": found.std()})
    best = max(scores.values(), key=lambda pair: pair[0])[1].fit(x_train, y_train)
    with mlflow.start_run(run_name="best"):
        mlflow.log_metric("roc_auc", roc_auc_score(y_test, best.predict_proba(x_test)[:, 1]))
        for display in (ConfusionMatrixDisplay, RocCurveDisplay, PrecisionRecallDisplay):
            mlflow.log_figure(display.from_estimator(best, x_test, y_test).figure_, f"{display.__name__}.png")
            plt.close("all")
        found = permutation_importance(best, x_test[:2000], y_test[:2000], n_repeats=5, random_state=42)
        mlflow.log_dict(
            dict(zip(frame.columns, map(float, found.importances_mean), strict=True)), "importances.json"
        )
        mlflow.sklearn.log_model(
            best, name="model", registered_model_name="plain", serialization_format="cloudpickle"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
