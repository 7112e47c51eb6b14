"""Which objective suits a base model's prior: −p where it is strong, −log p where it is weak, a trial between.

    choice = choose(prior)
    choice.objective           # "p", "nll", or None: let a trial tell

arXiv 2510.00526 measures −p and thresholds ahead at a mean p of .76 to .81 (mathematics), a tie at .50 to .59
(medicine) and −log p ahead at .01 to .07 (fonts), gives no cut-offs, and leaves .1 to .5 and .6 to .75 untried. Ours:
weak below .5, and strong from .9 only, which was .75 until a first seed of `titer reproduce continuum`: there −p lost
at .79 on clean traces and won at .71 on traces with wrong numbers. Easy tokens of form raise the mean, wrong ones lower
it, and it cannot tell one from the other. Between the cut-offs a trial on held-out problems decides, and nll where it
cannot tell.
"""

from __future__ import annotations

from typing import NamedTuple

from titer.measure.prior import Prior
from titer.records.results import Call

STRONG, WEAK = 0.9, 0.5


class Choice(NamedTuple):
    """An objective, or None where a trial has to tell, and the rule that says so."""

    objective: str | None
    rule: str


def choose(prior: Prior, *, strong: float = STRONG, weak: float = WEAK, candidate: str = "p") -> Choice:
    """The rule above. An interval that reaches over a cut-off counts as between, and so does one without ends.

    `candidate` is the objective that strong models get: p, or a thresholded one.
    """
    if prior.mean_p.low >= strong:
        return Choice(
            candidate,
            f"mean p of the base is above {strong:g} with its whole interval: strong, so {formula(candidate)}",
        )
    if prior.mean_p.high < weak:
        return Choice("nll", f"mean p of the base is below {weak:g} with its whole interval: weak, so −log p")
    return Choice(None, f"mean p of the base is not surely above {strong:g} nor below {weak:g}: between")


def after_trial(call: Call, *, candidate: str = "p") -> Choice:
    """What a trial's paired difference, accuracy of the candidate minus that of nll, makes of it.

    `call` is that of the difference: better or worse only where its interval excludes zero and enough problems differ.
    """
    name = formula(candidate)
    if call == "better":
        return Choice(candidate, f"between, and in the trial {name} was above −log p: its interval excludes zero")
    if call == "worse":
        return Choice("nll", f"between, and in the trial −log p was above {name}: its interval excludes zero")
    return Choice("nll", f"between, and the trial cannot tell {name} from −log p: −log p")


def formula(objective: str) -> str:
    """An objective as its formula, where it is short."""
    return {"p": "−p", "nll": "−log p"}.get(objective, objective)
