"""How far two labellings of the same things agree.

agreement(["a", "b", None], ["a", "a", "b"], labels=("a", "b")).kappa
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Agreement(NamedTuple):
    """How far two labellings agree on the items that both have labelled.

    `table` counts these items, rows by the first labelling and columns by the second, in the order of the labels.
    `unlabelled` counts the others. `share` and `kappa` are nan where there is nothing to compare.
    """

    items: int
    unlabelled: int
    share: float
    kappa: float
    table: NDArray[np.int64]


def agreement(a: Sequence[str | None], b: Sequence[str | None], labels: Sequence[str]) -> Agreement:
    """Compare two labellings of the same items. Raises ValueError when they are not as many.

    Cohen's kappa, (p_o - p_e) / (1 - p_e): p_o is the share of equal labels, p_e the share that labellers with these
    frequencies of labels would reach by chance (Cohen 1960, A Coefficient of Agreement for Nominal Scales, eq. 1). It
    is nan when chance alone reaches 1, since both give every item the same label.
    """
    pairs = list(zip(a, b, strict=True))
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for first, second in pairs:
        if first is not None and second is not None:
            table[labels.index(first), labels.index(second)] += 1
    items = int(table.sum())
    if not items:
        return Agreement(0, len(pairs), math.nan, math.nan, table)
    observed = float(np.trace(table)) / items
    chance = float(table.sum(axis=1) @ table.sum(axis=0)) / items**2
    kappa = (observed - chance) / (1 - chance) if chance < 1 else math.nan
    return Agreement(items, len(pairs) - items, observed, kappa, table)
