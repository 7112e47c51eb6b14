r"""Grades responses: right, wrong, or could not be graded.

    grade = check(problem, r"… so \boxed{42}.")     # Grade(score=1.0, parsed="42", note="")
    grades = grade_many([(problem, response), …])   # the slow ones in processes with a hard timeout
    problems = gym_problems("chain_sum", count=100, seed=7)

`problem.verifier` is one of `math`, `exact`, `choice`, `countdown`, `refusal`, `ifeval`, and `gym:TASK` for any
reasoning-gym task. sympy, math-verify and reasoning-gym are imported when first needed.
"""

from titer.verify.grade import Grade
from titer.verify.pool import Grader, grade_many
from titer.verify.table import VERIFIERS, check, validate_problem
from titer.verify.verifiers.gym import gym_problems

__all__ = ["VERIFIERS", "Grade", "Grader", "check", "grade_many", "gym_problems", "validate_problem"]
