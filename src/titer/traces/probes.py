"""Probes: traces changed on purpose, to see by retraining what of them teaches.

delete_steps("First, a.\\n\\nThen b.", rate=0.1, seed=0)
"""

from __future__ import annotations

import random
from itertools import pairwise

from titer.traces.steps import steps


def delete_steps(reasoning: str, rate: float, seed: int) -> str:
    """The reasoning without about `rate` of its steps, each deleted or not by itself; the same seed deletes the same.

    The redundancy probe of arXiv 2604.01702, which deletes 10 %. A fixed number a trace (ours not to take) would
    never delete anything of a trace of four steps. One step always stays: no thinking at all is another format.
    """
    pieces = _with_gaps(reasoning)
    rng = random.Random(f"{seed}:{reasoning}")
    kept = [piece for piece in pieces if rng.random() >= rate]
    return "".join(kept or [rng.choice(pieces)]).rstrip() if pieces else reasoning


def _with_gaps(reasoning: str) -> list[str]:
    """The steps, each with the whitespace that follows it, so that they join as they stood."""
    starts, place = [], 0
    for step in steps(reasoning):
        starts.append(reasoning.index(step, place))
        place = starts[-1] + len(step)
    return [reasoning[start:end] for start, end in pairwise([*starts, len(reasoning)])]
