"""Whether rows that share a value of a column share their label too, as rows of one person do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FEWEST = 50
"""So many different values, or fewer, are an ordinary category."""
SHARE = 0.02
"""Up to this share of different values among the rows a column is an ordinary category."""
AGREEMENT = 0.2
"""From here on rows of one value agree in their label far more than chance and other values' rows do."""
STRONG = 0.5
"""Such an agreement is asked of words, and of values that are few for the number of rows: categories may
predict well."""
SHUFFLES = 99
CERTAIN = 5.0
"""Standard deviations above what shuffled labels give."""
MOST_ROWS = 200_000
MOST_CLASSES = 20
REPEATED = 0.75
"""Up to this share of different values among the rows they come again."""
WORDS_OF_TEXT = 3
LETTERS_OF_TEXT = 15


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far labels agree where a column's values do.

    :param within: chance-corrected agreement of two rows with the same value: 0 chance, 1 always. Of classes
        it is kappa, of numbers the intraclass correlation of their ranks.
    :param beside: the same of rows with neighbouring values. A number that predicts the label has it nearly
        as high as ``within``; an identity has not.
    :param certain: whether shuffled labels never come near ``within``.
    """

    within: float
    beside: float
    certain: bool

    @property
    def is_of_identity(self) -> bool:
        """Whether it is so high, so certain and so abrupt as it is of one person's rows only."""
        return self.certain and self.within >= AGREEMENT and self.beside < self.within / 2


def repeats_like_identity(values: pd.Series[Any]) -> bool:
    """Return whether values are many and come again: more than 50, more than 2 % of the rows, not each once.

    :param values: the values that are there.
    """
    distinct = int(values.nunique())
    return distinct > FEWEST and SHARE * len(values) < distinct <= REPEATED * len(values)


def is_whole(values: pd.Series[Any]) -> bool:
    """Return whether numbers are whole, as identities are that were read beside missing values."""
    return bool((values % 1 == 0).all())


def identity_agreement(values: pd.Series[Any], labels: pd.Series[Any], *, text: bool, numbers: bool) -> float:
    """Return how far labels agree where a column's values do, if it is as of an identity that comes again.

    :param values: a column of text or of whole numbers.
    :param labels: the target of the same rows.
    :param text: whether the column is text.
    :param numbers: whether labels are numbers to predict; else they are classes.
    :returns: the agreement, from 0.2 to 1; 0 where the column is an ordinary one.
    """
    there = values.dropna()
    distinct = int(there.nunique())
    if not FEWEST < distinct <= REPEATED * len(there) or (text and is_prose(there)):
        return 0.0
    found = label_agreement(values, labels, numbers=numbers)
    if found is None or not found.is_of_identity:
        return 0.0
    ordinary = distinct <= SHARE * len(there) or (text and not is_code(there))
    return found.within if found.within >= (STRONG if ordinary else AGREEMENT) else 0.0


def is_prose(values: pd.Series[Any]) -> bool:
    """Return whether text is written for people: several words, or a long line of a script without blanks."""
    texts = values.drop_duplicates().iloc[:1000].astype(str)
    if texts.empty:
        return False
    words = float(texts.str.split().str.len().mean())
    foreign = float(texts.str.count(r"[^\x00-\x7f]").mean())
    return words >= WORDS_OF_TEXT or (foreign > LETTERS_OF_TEXT and foreign > texts.str.len().mean() / 2)


def is_code(values: pd.Series[Any]) -> bool:
    """Return whether text is letters and digits of one shape, such as ``P029``: nine of ten values are."""
    import re

    texts = values.drop_duplicates().iloc[:1000].astype(str)
    shapes = texts.map(lambda text: re.sub(r"[^\W\d_]", "a", re.sub(r"\d+", "9", text)))
    commonest = shapes.value_counts(normalize=True)
    if commonest.empty or commonest.iloc[0] < 0.9:
        return False
    shape = str(commonest.index[0])
    return "a" in shape and "9" in shape and not re.search(r"\s", shape)


def label_agreement(values: pd.Series[Any], labels: pd.Series[Any], *, numbers: bool) -> Agreement | None:
    """Return how far labels agree where values do; ``None`` where no two rows share a value.

    :param values: a column; rows without a value, or without a label, are left out.
    :param labels: the target of the same rows.
    :param numbers: whether labels are numbers to predict; else they are classes.
    """
    import numpy as np
    import pandas as pd

    there = (values.notna() & labels.notna()).to_numpy(dtype=bool)
    codes = pd.factorize(values[there], sort=True)[0]
    if len(codes) > MOST_ROWS:  # whole groups stay together
        codes, there = _fewer_groups(codes, there)
    labels = labels[there]
    points = label_points(labels, numbers=numbers)
    if len(codes) < 2 or points is None:
        return None
    codes = pd.factorize(codes, sort=True)[0]
    sizes = np.bincount(codes).astype(float)
    if not (sizes > 1).any():
        return None
    within, beside = _agreements(codes, sizes, points)
    certain = within >= AGREEMENT and _is_certain(codes, sizes, points, within)
    return Agreement(within=within, beside=beside, certain=certain)


def _fewer_groups(codes: NDArray[Any], there: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    every = -(-len(codes) // MOST_ROWS)
    blocks = codes // 2 % every == 0  # pairs of neighbours
    kept = np.zeros_like(there)
    kept[np.flatnonzero(there)[blocks]] = True
    return codes[blocks], kept


def label_points(labels: pd.Series[Any], *, numbers: bool) -> NDArray[Any] | None:
    """Return labels as points whose products say how alike two are; ``None`` where all are the same.

    :param labels: without missing ones.
    :param numbers: whether they are numbers, which count by their ranks; else each class has its own axis.
    """
    return _ranks(labels) if numbers else _indicators(labels)


def _indicators(labels: pd.Series[Any]) -> NDArray[Any] | None:
    import numpy as np
    import pandas as pd

    codes, words = pd.factorize(labels)
    if len(words) < 2:
        return None
    commonest = np.argsort(-np.bincount(codes), kind="stable")[:MOST_CLASSES]
    return np.stack([codes == code for code in commonest], axis=1).astype(float)


def _ranks(labels: pd.Series[Any]) -> NDArray[Any] | None:
    import numpy as np
    import pandas as pd

    ranks = pd.to_numeric(labels, errors="coerce").rank().fillna(0).to_numpy(dtype=float)
    spread = float(ranks.std())
    points: NDArray[Any] | None = ((ranks - ranks.mean()) / spread)[:, np.newaxis] if spread else None
    return points


def _agreements(codes: NDArray[Any], sizes: NDArray[Any], points: NDArray[Any]) -> tuple[float, float]:
    """Return the agreement of rows with the same value, and of rows with neighbouring values."""
    import numpy as np

    own = float((points**2).sum())
    rows = len(points)
    sums = np.stack([np.bincount(codes, weights=part) for part in points.T], axis=1)
    total = points.sum(axis=0)
    chance = (float((total**2).sum()) - own) / (rows * (rows - 1))
    best = own / rows - chance
    if best <= 0:
        return 0.0, 0.0
    pairs = float((sizes * (sizes - 1)).sum())
    within = (float((sums**2).sum()) - own) / pairs
    beside_pairs = float((sizes[1:] * sizes[:-1]).sum())
    beside = float((sums[1:] * sums[:-1]).sum()) / beside_pairs if beside_pairs else chance
    return (within - chance) / best, (beside - chance) / best


def _is_certain(codes: NDArray[Any], sizes: NDArray[Any], points: NDArray[Any], within: float) -> bool:
    import numpy as np

    random = np.random.default_rng(42)
    by_chance = np.array([_agreements(codes, sizes, random.permutation(points))[0] for _ in range(SHUFFLES)])
    return bool(within > by_chance.max() and within - by_chance.mean() > CERTAIN * by_chance.std())
