"""Objectives: decreasing functions f of p, the probability that the model gives to the target token.

    f = objective("p")
    loss_N = f(logp_N)          # −p

Every member's gradient is cross-entropy's times the weight w(p) = −f′(p)·p (arXiv 2510.00526, section 3), so what
differs between them is only which tokens count.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from torch import Tensor

from titer.errors import InputError

Objective = Callable[[Tensor], Tensor]


def nll(logp_N: Tensor) -> Tensor:
    """f(p) = −log p, w(p) = 1: cross-entropy."""
    return -logp_N


def p(logp_N: Tensor) -> Tensor:
    """f(p) = −p, w(p) = p (arXiv 2510.00526, table 1; the gradient of DFT, arXiv 2508.05629)."""
    return -logp_N.exp()


OBJECTIVES: dict[str, Objective] = {"nll": nll, "p": p, "dft": p}


def objective(name: str) -> Objective:
    """The objective of that name. Raises InputError for an unknown one."""
    if name not in OBJECTIVES:
        close = difflib.get_close_matches(name, OBJECTIVES, n=1, cutoff=0.0)
        raise InputError(
            f"unknown objective {name!r}, did you mean {close[0]!r}?",
            field="train.objective",
            remedy=f"use one of: {', '.join(OBJECTIVES)}",
        )
    return OBJECTIVES[name]
