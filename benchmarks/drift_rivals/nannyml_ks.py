"""NannyML with Kolmogorov-Smirnov and chi-square: ``nannyml_ks.py REFERENCE CURRENT``, in its environment."""

from __future__ import annotations

import sys
import warnings

from timing import Stopwatch, tell

watch = Stopwatch()
import nannyml  # noqa: E402
import pandas as pd  # noqa: E402

imported = watch.look()
warnings.simplefilter("ignore")
reference, current = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
names = list(reference)
calculator = nannyml.UnivariateDriftCalculator(
    column_names=names,
    treat_as_categorical=[name for name in names if name.startswith("c")],
    continuous_methods=["kolmogorov_smirnov"],
    categorical_methods=["chi2"],
    chunk_number=1,
)
calculator.fit(reference)
frame = calculator.calculate(current).filter(period="analysis").to_df()
run = watch.look()
drifted = []
for column, method, field in frame.columns:
    distance = frame[(column, method, field)].iloc[0]
    if field == "value" and method == "kolmogorov_smirnov" and float(distance) > 0.05:
        drifted.append(column)
tell(imported, run, drifted)
