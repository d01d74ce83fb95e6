from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from windsock.spec.column_leaks import column_leaks
from windsock.spec.column_strength import Column
from windsock.spec.leak_suspects import way_out

ROWS = 1500


def table():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({f"n{place}": draw.normal(size=ROWS) for place in range(5)})
    for place in range(3):
        frame[f"p{place}"] = draw.lognormal(size=ROWS)
        frame[f"c{place}"] = draw.choice(list("ab"), ROWS)
    return frame, draw.normal(size=ROWS)


def found(frame, target, *, known=()):
    columns = [
        Column(name=name, values=frame[name], number=pd.api.types.is_numeric_dtype(frame[name]))
        for name in frame.columns
    ]
    numbers = target.dtype.kind == "f"
    return column_leaks(columns, pd.Series(target), numbers=numbers, known=known)


PAIRS = {
    "a difference over a limit": (lambda f: f.n1 - f.n2 > 0.5, {"n1", "n2"}),
    "a ratio over a limit": (lambda f: f.p0 / f.p1 > 2, {"p0", "p1"}),
    "an exclusive or": (lambda f: (f.c0 == "a") ^ (f.c1 == "b"), {"c0", "c1"}),
    "a sum": (lambda f: 2 * f.n1 + 3 * f.n2, {"n1", "n2"}),
    "a product": (lambda f: f.p0 * f.p1, {"p0", "p1"}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_two_columns_that_only_together_tell_the_target(name):
    frame, _ = table()
    make, names = PAIRS[name]
    (leak,) = found(frame, make(frame))
    assert (leak.kind, {leak.column, leak.other}) == ("pair", names)
    assert "together with" in leak.sentence
    assert "or list both" in way_out([leak])
    assert found(frame, make(frame), known=tuple(names)) == ()
    assert len(found(frame, make(frame), known=(leak.column,))) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda f, noise: f.n1 - f.n2 + 0.3 * noise > 0,
        lambda f, noise: f.n1 - f.n2 - f.n3 > 0,
        lambda f, noise: f.n1 + f.n2 + 0.1 * noise,
        lambda f, noise: noise > 0,
    ],
)
def test_honest_columns_are_no_pair(make):
    frame, noise = table()
    assert found(frame, make(frame, noise)) == ()


def test_a_perfect_column_that_is_filled_in_few_rows():
    draw = np.random.default_rng(1)
    label = draw.random(4000) < 0.4
    there = draw.random(4000) < 0.05
    frame = pd.DataFrame({"n": draw.normal(size=4000), "m": draw.normal(size=4000)})
    for scale, named in ((0.1, ["late"]), (4.0, [])):
        late = np.where(label, 7.0, 3.0) + draw.normal(scale=scale, size=4000)
        leaks = found(frame.assign(late=np.where(there, late, np.nan)), label)
        assert [leak.column for leak in leaks] == named
