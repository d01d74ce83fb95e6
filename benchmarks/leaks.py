"""How many planted leaks are named, and how many honest columns: 100 plants, and 20 subsamples of each table.

The tables are scikit-learn's, and those of a folder that the first argument or WINDSOCK_BENCH_DATA names.
What is planted: a copy of the target in other words, one with 1 % wrong rows, a column that is filled only
after the event, the target's mean over a row's group with the row itself among it, and the score of a model
that had seen these labels. Each reaches AUC 0.99 or R2 0.98 alone, or AUC 0.95 by its missing values.
"""

from __future__ import annotations

import os
import resource
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness import PROJECT, Bar, report

sys.path.insert(0, str(PROJECT / "plugins"))

from windsock.spec.column_leaks import column_leaks
from windsock.spec.column_strength import Column
from windsock.spec.leak_suspects import LeakSuspect

SUBSAMPLES = 20
PLANTS = 100
PLANTED_ROWS = 6_000
MOST_WRONG = 1
FOUND = 95
SECONDS = 1.5


@dataclass(frozen=True)
class Table:
    """An honest table with its target."""

    name: str
    frame: pd.DataFrame
    target: str
    numbers: bool

    @property
    def labels(self) -> pd.Series[Any]:
        """The target."""
        return self.frame[self.target]


def tables(folder: Path | None) -> list[Table]:
    """Return the honest tables: scikit-learn's, and those of a folder."""
    from sklearn import datasets

    found = []
    for name in ("breast_cancer", "iris", "wine", "digits", "diabetes"):
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        found.append(Table(name, frame, "target", name == "diabetes"))
    if folder is None:
        return found
    adult = pd.read_csv(folder / "adult_income.csv")
    telco = pd.read_csv(folder / "telco_churn.csv").drop(columns="customerID")
    telco["TotalCharges"] = pd.to_numeric(telco["TotalCharges"], errors="coerce")
    loans = pd.read_csv(folder / "car_loan_reference.csv")
    loans = loans.drop(columns=["id", "timestamp", "y_pred_proba", "y_pred"])
    german = pd.read_csv(folder / "german_credit.csv")
    return [
        *found,
        Table("telco_churn", telco, "Churn", False),
        Table("adult", adult, "income-per-year", False),
        Table("car_loans", loans, "repaid", False),
        Table("german_credit", german, "credit", False),
        Table("adult hours", adult, "hours-per-week", True),
        Table("german amount", german, "credit_amount", True),
        Table("car value", loans, "car_value", True),
    ]


def leaks(table: Table, frame: pd.DataFrame) -> tuple[LeakSuspect, ...]:
    """Return the columns of a frame that are named."""
    columns = [
        Column(name=str(name), values=frame[name], number=pd.api.types.is_numeric_dtype(frame[name]))
        for name in frame.columns
        if name != table.target
    ]
    return column_leaks(columns, frame[table.target], numbers=table.numbers)


# --- what is planted


def copy(table: Table, draw: np.random.Generator) -> pd.Series[Any]:
    """Return the target in other words, or otherwise scaled."""
    if table.numbers:
        values = table.labels.to_numpy(dtype=float)
        return pd.Series(draw.choice([np.sqrt(np.abs(values) + 1), 3.5 * values - 20, -np.log1p(values)]))
    codes, words = pd.factorize(table.labels)
    return pd.Series(draw.permutation(len(words))[codes] * 2.5 + 0.1)


def flipped(table: Table, draw: np.random.Generator) -> pd.Series[Any]:
    """Return a copy of which 1 % of the rows have another row's label."""
    values = copy(table, draw).to_numpy(copy=True)
    wrong = draw.permutation(len(values))[: len(values) // 100]
    values[wrong] = draw.permutation(values)[wrong]
    return pd.Series(values)


def afterwards(table: Table, draw: np.random.Generator) -> pd.Series[Any]:
    """Return codes that are filled in nearly all rows of one class, or of large numbers."""
    if table.numbers:
        there = table.labels.rank(pct=True).to_numpy() > draw.uniform(0.5, 0.8)
    else:
        there = (table.labels == draw.choice(table.labels.unique())).to_numpy()
    wrong = draw.random(len(there)) < np.where(there, draw.uniform(0, 0.08), draw.uniform(0, 0.01))
    numbers = pd.Series(draw.normal(size=len(there)).round(2))
    return numbers.where(there ^ wrong)


def aggregate(table: Table, draw: np.random.Generator) -> pd.Series[Any]:
    """Return the mean of the target over groups that share most of it, with the row itself among them."""
    labels = table.labels
    numbers = labels.astype(float) if table.numbers else pd.Series(pd.factorize(labels)[0], dtype=float)
    for others in (0.2, 0.1, 0.05, 0.02, 0.01, 0.005):
        size = 3
        order = np.argsort(numbers.to_numpy() + draw.random(len(numbers)) * 1e-6, kind="stable")
        groups = np.empty(len(numbers), dtype=np.int64)
        groups[order] = np.arange(len(numbers)) // size
        strange = draw.permutation(len(numbers))[: int(others * len(numbers))]
        groups[strange] = draw.permutation(groups[strange])
        values = numbers.groupby(groups).transform("mean")
        if alone(values, table) >= (0.98 if table.numbers else 0.99):
            break
    return values


def seen_score(table: Table, draw: np.random.Generator) -> pd.Series[Any]:
    """Return the score of a forest on the very rows that it was fitted on."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    frame = pd.get_dummies(table.frame.drop(columns=table.target)).fillna(-1).to_numpy(dtype=float)
    settings: dict[str, Any] = {"max_features": 0.5, "random_state": int(draw.integers(1_000))}
    if table.numbers:
        model = RandomForestRegressor(
            25, bootstrap=False, min_samples_leaf=int(draw.integers(1, 3)), **settings
        )
        return pd.Series(model.fit(frame, table.labels).predict(frame))
    model = RandomForestClassifier(50, **settings).fit(frame, pd.factorize(table.labels)[0])
    shares = model.predict_proba(frame)
    return pd.Series(shares @ np.arange(shares.shape[1]))


def alone(values: pd.Series[Any], table: Table) -> float:
    """Return what a column reaches alone by another way than the product's: a cross-validated tree."""
    from sklearn.metrics import r2_score, roc_auc_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    there = values.notna().to_numpy()
    labels = table.labels[there]
    beside = values[there].to_numpy().reshape(-1, 1)
    if table.numbers:
        ranks = labels.rank()
        model = DecisionTreeRegressor(min_samples_leaf=2, random_state=0)
        guessed = cross_val_predict(model, beside, ranks, cv=5)
        line = max(abs(values[there].corr(labels, method=one)) ** 2 for one in ("pearson", "spearman"))
        return max(float(r2_score(ranks, guessed)), line)
    model = DecisionTreeClassifier(min_samples_leaf=5, max_leaf_nodes=64, random_state=0)
    shares = cross_val_predict(model, beside, labels, cv=5, method="predict_proba")
    if shares.shape[1] == 2:
        codes = pd.factorize(labels, sort=True)[0]
        order = float(roc_auc_score(codes, beside[:, 0]))
        return max(float(roc_auc_score(codes, shares[:, 1])), order, 1 - order)
    return float(roc_auc_score(labels, shares, multi_class="ovr"))


def absent(values: pd.Series[Any], table: Table) -> float:
    """Return the AUC between having a value and a class, or a number."""
    from sklearn.metrics import roc_auc_score

    there = values.notna().to_numpy()
    if there.all():
        return 0.5
    if table.numbers:
        share = float(roc_auc_score(there, table.labels))
        return max(share, 1 - share)
    shares = [float(roc_auc_score(table.labels == label, there)) for label in table.labels.unique()]
    return max(max(share, 1 - share) for share in shares)


KINDS: dict[str, Callable[[Table, np.random.Generator], pd.Series[Any]]] = {
    "copy": copy,
    "copy with 1 % wrong": flipped,
    "filled afterwards": afterwards,
    "group mean": aggregate,
    "score of seen labels": seen_score,
}


def reaches(values: pd.Series[Any], table: Table) -> bool:
    """Return whether a planted column is as strong as it is meant to be."""
    return absent(values, table) >= 0.95 or alone(values, table) >= (0.98 if table.numbers else 0.99)


def planted(every: list[Table]) -> tuple[list[list[str]], int]:
    """Plant the leaks; return how many are found of each kind, and of all."""
    draw = np.random.default_rng(7)
    found: Counter[str] = Counter()
    made: Counter[str] = Counter()
    wrong = weak = place = 0
    while made.total() < PLANTS:
        kind = list(KINDS)[place % len(KINDS)]
        table = every[place // len(KINDS) % len(every)]
        place += 1
        frame = table.frame.sample(min(len(table.frame), PLANTED_ROWS), random_state=place).reset_index(
            drop=True
        )
        table = replace(table, frame=frame)
        values = KINDS[kind](table, draw)
        if not reaches(values, table):
            weak += 1
            continue
        named = {leak.column for leak in leaks(table, frame.assign(planted=values))}
        made[kind] += 1
        found[kind] += "planted" in named
        wrong += bool(named - {"planted"})
        if named != {"planted"}:
            strength = f"alone {alone(values, table):.4f}, absent {absent(values, table):.4f}"
            print(f"  {table.name}, {kind}: named {sorted(named)}; {strength}")
    rows = [[f"planted: {kind}", f"{made[kind]} leaks", f"{found[kind]} found"] for kind in KINDS]
    rows.append(["drawn again, for they are not strong enough", str(weak), ""])
    rows.append(["with another column named beside it", str(wrong), ""])
    return rows, found.total()


def honest(every: list[Table]) -> tuple[list[list[str]], int]:
    """Return what is named in honest tables, and the largest number of subsamples with a named column."""
    draw = np.random.default_rng(11)
    worst = 0
    rows: list[list[str]] = []
    for table in every:
        whole = [leak.column for leak in leaks(table, table.frame)]
        wrong = 0
        for number in range(SUBSAMPLES):
            share = (0.5, 0.8, 0.25, 0.1)[number % 4]
            size = max(min(len(table.frame), 100), int(share * len(table.frame)))
            part = table.frame.iloc[draw.permutation(len(table.frame))[:size]]
            named = leaks(table, part)
            wrong += bool(named)
            for leak in named:
                print(f"  {table.name}, {size} rows: {leak}")
        worst = max(worst, wrong + SUBSAMPLES * bool(whole))
        found = f"{len(whole)} columns, and in {wrong} of {SUBSAMPLES} subsamples"
        rows.append([f"honest: {table.name}", f"{len(table.frame):,} rows", found])
    return rows, worst


def seconds() -> float:
    """Return the CPU seconds for 100,000 rows of 50 columns."""
    draw = np.random.default_rng(3)
    rows = 100_000
    labels = pd.Series(draw.random(rows) < 0.2)
    frame = pd.DataFrame({f"n{place}": draw.normal(size=rows) + 0.3 * labels for place in range(35)})
    for place in range(15):
        frame[f"c{place}"] = pd.Series(draw.integers(0, 10 ** (place % 4 + 1), rows)).astype(str)
    frame["n0"] = labels + draw.normal(scale=0.3, size=rows)
    begun = resource.getrusage(resource.RUSAGE_SELF)
    leaks(Table("large", frame.assign(target=labels), "target", False), frame.assign(target=labels))
    ended = resource.getrusage(resource.RUSAGE_SELF)
    return ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime


def main() -> int:
    """Run it; return 1 where a bar is missed."""
    named = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("WINDSOCK_BENCH_DATA")
    every = tables(Path(named) if named else None)
    of_honest, worst = honest(every)
    of_planted, found = planted(every)
    return report(
        "leaks",
        f"Leaks of the target in {len(every)} tables",
        ["what", "how much", "named"],
        [*of_honest, *of_planted],
        [
            Bar(bar="planted leaks found", value=found, unit="of 100", limit=FOUND, at_most=False),
            Bar(bar="subsamples with a wrong name, worst table", value=worst, unit="of 20", limit=MOST_WRONG),
            Bar(bar="100,000 rows x 50 columns", value=seconds(), unit="CPU s", limit=SECONDS),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
