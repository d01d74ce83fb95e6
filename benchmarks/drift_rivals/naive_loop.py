"""The usual loop over scipy: ks_2samp, and chi-square on counts: ``naive_loop.py REFERENCE CURRENT``."""

from __future__ import annotations

import sys

from timing import Stopwatch, tell

watch = Stopwatch()
import pandas as pd  # noqa: E402
from scipy.stats import chi2_contingency, ks_2samp  # noqa: E402

imported = watch.look()
reference, current = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
drifted = []
for name in reference:
    if name.startswith("n"):
        result = ks_2samp(reference[name], current[name], method="asymp")
        found = result.pvalue < 0.01 and result.statistic >= 0.05
    else:
        sides = pd.DataFrame({"then": reference[name].value_counts(), "now": current[name].value_counts()})
        table = sides.fillna(0).to_numpy().T
        effect = (chi2_contingency(table)[0] / table.sum()) ** 0.5
        found = chi2_contingency(table)[1] < 0.01 and effect >= 0.1
    if found:
        drifted.append(name)
tell(imported, watch.look(), drifted)
