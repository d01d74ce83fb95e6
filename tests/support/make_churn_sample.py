"""Makes ``include/data/churn_sample.csv``: made-up customers, the same ones every time.

Run as ``python tests/support/make_churn_sample.py`` from the project's folder. Of the random numbers only
``Random.random`` is used, whose sequence Python keeps the same from version to version.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random

SEED = 20260501
CUSTOMERS = 4000
NEW_CUSTOMERS = 11
LAST_DAY = date(2026, 4, 30)
TARGET_FILE = Path("include/data/churn_sample.csv")

PLANS = {"basic": 24.0, "standard": 49.0, "premium": 79.0, "business": 104.0}
CONTRACTS = {"month-to-month": 1.15, "one year": -0.85, "two years": -2.1}
PAYMENTS = {"card": -0.2, "direct debit": -0.35, "invoice": 0.1, "electronic check": 0.65}
REGIONS = ("north", "south", "east", "west", "centre")
COLUMNS = (
    "customer_id",
    "signed_up",
    "tenure_months",
    "plan",
    "monthly_charges",
    "total_charges",
    "contract",
    "payment_method",
    "support_calls",
    "paperless",
    "region",
    "gender",
    "churned",
)


def choose(draw: Random, words: Sequence[str], weights: Sequence[float]) -> str:
    """Return one of the words."""
    point = draw.random() * sum(weights)
    for word, weight in zip(words, weights, strict=True):
        point -= weight
        if point < 0:
            return word
    return words[-1]


def bell(draw: Random) -> float:
    """Return a number of mean 0 and standard deviation 1, by Irwin and Hall's sum of twelve."""
    return sum(draw.random() for _ in range(12)) - 6


def make_customer(draw: Random, number: int) -> list[str]:
    """Return one row. Gender is drawn and then never looked at again."""
    is_new = number % (CUSTOMERS // NEW_CUSTOMERS) == 7
    tenure = 0 if is_new else 1 + int(72 * draw.random() ** 1.4)
    plan = choose(draw, tuple(PLANS), (0.3, 0.35, 0.25, 0.1))
    long_term = tenure / 72
    terms = (0.75 - 0.45 * long_term, 0.15 + 0.15 * long_term, 0.1 + 0.3 * long_term)
    contract = choose(draw, tuple(CONTRACTS), terms)
    payment = choose(draw, tuple(PAYMENTS), (0.3, 0.25, 0.15, 0.3))
    monthly = max(15.0, PLANS[plan] + 6 * bell(draw))
    calls = int(-math.log(1 - draw.random()) * 1.6)
    paperless = draw.random() < 0.6
    region = choose(draw, REGIONS, (0.2, 0.25, 0.2, 0.2, 0.15))
    gender = choose(draw, ("Female", "Male"), (0.5, 0.5))
    score = -1.35 + CONTRACTS[contract] + PAYMENTS[payment] + 0.55 * calls - 0.032 * tenure
    score += 0.012 * (monthly - 50) + (0.25 if paperless else 0.0) + (0.3 if region == "south" else 0.0)
    churned = draw.random() < 1 / (1 + math.exp(-0.85 * score))
    total = "" if tenure == 0 else f"{monthly * tenure * (1 + 0.02 * bell(draw)):.2f}"
    signed_up = LAST_DAY - timedelta(days=int(30.44 * tenure) + int(28 * draw.random()))
    return [
        f"C{100_000 + number * 37}",
        signed_up.isoformat(),
        str(tenure),
        plan,
        f"{monthly:.2f}",
        total,
        contract,
        payment,
        str(calls),
        "Yes" if paperless else "No",
        region,
        gender,
        "Yes" if churned else "No",
    ]


def make_sample() -> str:
    """Return the file's content."""
    draw = Random(SEED)  # noqa: S311 - made-up customers, nothing secret
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(make_customer(draw, number) for number in range(CUSTOMERS))
    return stream.getvalue()


if __name__ == "__main__":
    TARGET_FILE.write_text(make_sample(), encoding="utf-8")
