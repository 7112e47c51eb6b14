"""The verifiers, and the one way to call them.

    check(problem, "The answer is 42.")        # Grade(score=1.0, parsed="42", note="")
    validate_problem(problem)                   # InputError if no response to it could be graded

A new verifier is one function in one file of `verifiers`, and one line in `VERIFIERS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import NamedTuple

from titer.errors import InputError
from titer.records.schema import Problem
from titer.verify.answers import require_answer
from titer.verify.grade import Grade
from titer.verify.verifiers.choice import check_choice, validate_choice
from titer.verify.verifiers.countdown import check_countdown, validate_countdown
from titer.verify.verifiers.exact import check_exact
from titer.verify.verifiers.gym import check_gym, list_tasks, validate_gym
from titer.verify.verifiers.ifeval import check_ifeval, validate_ifeval
from titer.verify.verifiers.mathematics import check_math, warm_up_math
from titer.verify.verifiers.refusal import check_refusal, validate_refusal

NOTE_CHARACTERS = 200  # of an exception's message kept in a note


class Verifier(NamedTuple):
    """How a kind of problem is graded, and how one is validated.

    `warm_up` is what a process does once before its first grade, outside the clock. A verifier that has one is
    also one that can run for ever, and is graded in a process of its own.
    """

    check: Callable[[Problem, str], Grade]
    validate: Callable[[Problem], None]
    warm_up: Callable[[], object] | None = None


VERIFIERS: dict[str, Verifier] = {
    "math": Verifier(check_math, require_answer, warm_up_math),
    "exact": Verifier(check_exact, require_answer),
    "choice": Verifier(check_choice, validate_choice),
    "countdown": Verifier(check_countdown, validate_countdown),
    "refusal": Verifier(check_refusal, validate_refusal),
    "ifeval": Verifier(check_ifeval, validate_ifeval),
    "gym:TASK": Verifier(check_gym, validate_gym, list_tasks),
}


def check(problem: Problem, response: str) -> Grade:
    """Grade one response, the text after the thinking, in this process and without a clock.

    What a verifier raises leaves the response ungraded, with the note "crash: …". Raises InputError for a
    problem that `validate_problem` refuses.
    """
    validate_problem(problem)
    try:
        return find_verifier(problem.verifier).check(problem, response)
    except Exception as error:
        message = " ".join(str(error).split())[:NOTE_CHARACTERS]
        return Grade(None, None, f"crash: {type(error).__name__}: {message}")


def validate_problem(problem: Problem) -> None:
    """Raise InputError if the verifier is unknown, or if the problem lacks what its verifier needs."""
    find_verifier(problem.verifier).validate(problem)


def find_verifier(spec: str) -> Verifier:
    """Look up the verifier of a spec such as "math" or "gym:chain_sum". Raises InputError."""
    name = "gym:TASK" if spec.startswith("gym:") else spec
    if name in VERIFIERS:
        return VERIFIERS[name]
    near = difflib.get_close_matches(spec, VERIFIERS, n=1, cutoff=0.0)[0]
    remedy = f"did you mean {near!r}? There are: {', '.join(VERIFIERS)}"
    raise InputError(f"unknown verifier {spec!r}", field="verifier", remedy=remedy)
