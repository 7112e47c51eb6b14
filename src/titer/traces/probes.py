"""Probes: traces changed on purpose, to see by retraining what of them teaches.

delete_steps("First, a.\\n\\nThen b.", rate=0.1, seed=0)
"""

from __future__ import annotations

import random

from titer.traces.steps import cut_text


def delete_steps(reasoning: str, rate: float, seed: int) -> str:
    """The reasoning without about `rate` of its steps, each deleted or not by itself; the same seed deletes the same.

    The redundancy probe of arXiv 2604.01702, which deletes 10 %. A fixed number a trace (ours not to take) would
    never delete anything of a trace of four steps. One step always stays: no thinking at all is another format.
    """
    pieces = cut_text(reasoning)
    rng = random.Random(f"{seed}:{reasoning}")
    kept = [piece for piece in pieces if rng.random() >= rate]
    return "".join(kept or [rng.choice(pieces)]).rstrip() if pieces else reasoning
