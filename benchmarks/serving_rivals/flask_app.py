"""The server of the field's tutorials: Flask, a DataFrame of the JSON, ``predict``, ``predict_proba``."""

from __future__ import annotations

import os

import joblib
import pandas as pd
from flask import Flask, jsonify, request

app = Flask(__name__)
model = joblib.load(os.environ["BENCH_EXPORT"])


@app.route("/predict", methods=["POST"])
def predict():
    """Answer one row or a list of rows."""
    asked = request.get_json()
    frame = pd.DataFrame(asked if isinstance(asked, list) else [asked])
    predictions = model.predict(frame)
    probabilities = model.predict_proba(frame)[:, 1]
    return jsonify({"predictions": predictions.tolist(), "probabilities": probabilities.tolist()})
