"""What guessing comes to: the baseline beside every pass@k.

    guess = guessing(problems, ks=(1, 2, 4, 8))
    guess[8]            # pass@8 of drawing answers at random from the suite's own gold answers

With few different answers a pass@k looks like skill and is none: among ten equally frequent answers eight draws hit
one in 57 % of the problems. Known are the gold answers as they are written; where the answer is not what is checked
(an expression that reaches a target, an instruction that is followed), there is nothing to guess from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from titer.records.results import SuiteSummary
from titer.records.schema import Problem

UNGUESSABLE = {"countdown", "ifeval"}  # verifiers whose answers are not among the gold ones


def guessing(problems: Sequence[Problem], ks: Iterable[int]) -> dict[int, float]:
    """pass@k of guessing, by k: the better of drawing k answers, each as often as it is right in the suite, and of
    giving the most frequent one always. Problems to be refused and those to be answered weigh alike, as in the suite's
    accuracy. Nothing where there is nothing to guess from."""
    if not problems or any(problem.verifier in UNGUESSABLE for problem in problems):
        return {}
    sizes = Counter(map(_kind, problems))
    shares: dict[str, float] = {}
    for problem in problems:
        answer = problem.answer.strip()
        shares[answer] = shares.get(answer, 0.0) + 1 / (len(sizes) * sizes[_kind(problem)])
    return {k: max(*shares.values(), sum(share * (1 - (1 - share) ** k) for share in shares.values()), 0.0) for k in ks}


def _kind(problem: Problem) -> str:
    return problem.answer if problem.verifier == "refusal" else ""


def with_guessing(summaries: Iterable[SuiteSummary], suites: Mapping[str, Sequence[Problem]]) -> list[SuiteSummary]:
    """The summaries with what guessing comes to in each suite."""
    return [replace(one, guess_at=guessing(suites.get(one.suite, ()), one.pass_at)) for one in summaries]
