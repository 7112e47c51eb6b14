"""reasoning-gym tasks: oracles are right, wrong answers are wrong, nothing the model wrote is executed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reasoning_gym.factory import DATASETS

from titer.errors import InputError
from titer.verify import check, gym_problems, validate_problem

# A mixture of the others; tasks without an oracle answer; a task that takes seconds to make.
UNTESTED = {"composite", "boxnet", "rush_hour", "knight_swap"}
TASKS = sorted(set(DATASETS) - UNTESTED)


def tagged(answer: str) -> str:
    return f"I think so.\n<answer>{answer}</answer>"


@pytest.mark.parametrize("task", TASKS)
def test_the_oracle_is_right_wherever_it_stands_and_no_answer_is_wrong(task: str) -> None:
    for problem in gym_problems(task, count=2, seed=23):
        validate_problem(problem)
        assert json.loads(json.dumps(problem.meta)) == problem.meta
        for response in (tagged(problem.answer), f"So the answer is {problem.answer}", problem.answer):
            assert check(problem, response).score == 1.0
        assert check(problem, tagged("I do not know")).score != 1.0
        assert check(problem, "") == (0.0, None, "")


def test_problems_are_reproducible_and_named() -> None:
    problems = gym_problems("chain_sum", count=3, seed=7, min_terms=3, max_terms=3)
    assert problems == gym_problems("chain_sum", count=3, seed=7, min_terms=3, max_terms=3)
    assert problems != gym_problems("chain_sum", count=3, seed=8, min_terms=3, max_terms=3)
    assert [problem.id for problem in problems] == ["chain_sum-7-0", "chain_sum-7-1", "chain_sum-7-2"]
    assert {problem.verifier for problem in problems} == {"gym:chain_sum"}
    assert {problem.domain for problem in problems} == {"chain_sum"}
    assert problems[0].meta["config"] == {"min_terms": 3, "max_terms": 3}
    assert problems[0].prompt == problems[0].meta["entry"]["question"]


@pytest.mark.parametrize(
    ("task", "almost"),
    [
        ("letter_counting", lambda answer: f"{answer} letters"),
        ("spell_backward", lambda answer: answer[:-1]),
        ("word_sorting", lambda answer: ", ".join(reversed(answer.split(", ")))),
        ("sudoku", lambda answer: answer.replace("1", "2")),
        ("tower_of_hanoi", lambda answer: answer.rpartition("\n")[0]),
        ("polynomial_equations", lambda answer: f"{answer}, 77"),
    ],
)
def test_partial_credit_is_wrong(task: str, almost: Callable[[str], str]) -> None:
    problem = gym_problems(task, count=1, seed=3)[0]
    grade = check(problem, tagged(almost(problem.answer)))
    assert (grade.score, grade.parsed) == (0.0, almost(problem.answer).strip())
    assert grade.note.startswith("partial credit 0.")


def test_the_config_of_the_problem_reaches_its_scorer() -> None:
    coarse = gym_problems("decimal_arithmetic", count=1, seed=1, min_num_decimal_places=2, max_num_decimal_places=2)[0]
    fine = replace(coarse, meta={"entry": coarse.meta["entry"], "config": {"max_num_decimal_places": 6}})
    near = str(float(coarse.answer) + 0.005)
    assert check(coarse, tagged(near)).score == 1.0
    assert check(fine, tagged(near)).score == 0.0


@pytest.mark.parametrize(
    ("task", "wrong"),
    [
        ("game_of_life_halting", lambda answer: {"True": "False", "False": "True"}[answer]),
        ("coin_flip", lambda answer: answer[0]),
        ("complex_arithmetic", lambda answer: "nan"),
        ("gsm_symbolic", lambda answer: f"-{answer}"),
        ("puzzle24", lambda answer: "4 * 6 * 1 * 1"),
        ("puzzle24", lambda answer: f"({answer}) * 5 / 5"),
        ("countdown", lambda answer: f"({answer}) ** 1"),
        ("countdown", lambda answer: f"{answer} + 0"),
        ("letter_jumble", lambda answer: f"{answer} more"),
        ("prime_factorization", lambda answer: "a × b"),
        ("prime_factorization", lambda answer: f"1 × {answer}"),
        ("bitwise_arithmetic", lambda answer: "0x"),
    ],
)
def test_what_the_shipped_scorer_would_accept_or_choke_on_is_wrong(task: str, wrong: Callable[[str], str]) -> None:
    for problem in gym_problems(task, count=5, seed=5):
        answer = wrong(problem.answer)
        assert check(problem, tagged(answer)) == (0.0, answer, "")


ATTACK = "__import__('pathlib').Path({path!r}).touch()"
ATTACKED = ["binary_matrix", "string_insertion", "spiral_matrix", "n_queens", "countdown", "puzzle24"]
ATTACKED += ["polynomial_multiplication", "simple_integration", "intermediate_integration", "bitwise_arithmetic"]


@pytest.mark.parametrize("task", ATTACKED)
def test_an_answer_is_never_executed(task: str, tmp_path: Path) -> None:
    path = tmp_path / "touched"
    attack = ATTACK.format(path=str(path))
    eval(attack)  # the attack works where text is evaluated
    assert path.exists()
    path.unlink()
    for problem in gym_problems(task, count=2, seed=1):
        assert check(problem, tagged(attack)).score == 0.0
    assert not path.exists()


@pytest.mark.parametrize(
    ("task", "field"),
    [
        ("polynomial_multiplication", "answer"),
        ("simple_integration", "integrand"),
        ("number_sorting", "answer"),
        ("bitwise_arithmetic", "problem"),
    ],
)
def test_an_entry_is_never_executed(task: str, field: str, tmp_path: Path) -> None:
    path = tmp_path / "touched"
    problem = gym_problems(task, count=1, seed=1)[0]
    entry = json.loads(json.dumps(problem.meta["entry"]))
    (entry if field == "answer" else entry["metadata"])[field] = ATTACK.format(path=str(path))
    poisoned = replace(problem, meta={"entry": entry})
    if task == "bitwise_arithmetic":  # nothing reads that field
        assert check(poisoned, tagged(problem.answer)).score == 1.0
    else:
        with pytest.raises(InputError, match="in the entry is not one of"):
            check(poisoned, tagged("[1]"))
    assert not path.exists()


@pytest.mark.parametrize("answer", ["x.__class__", "x.real", "x2.real", "().__class__", "'a'", "x[0]", "lambda: 1"])
def test_names_attributes_and_strings_do_not_reach_sympys_parser(answer: str) -> None:
    problem = gym_problems("polynomial_multiplication", count=1, seed=1)[0]
    assert check(problem, tagged(answer)).score == 0.0


def test_equivalent_formulas_are_right() -> None:
    for problem in gym_problems("simple_integration", count=3, seed=4):
        assert check(problem, tagged(f"2*({problem.answer})/2 + 7")).score == 1.0
        assert check(problem, tagged(f"2*({problem.answer})")).score == 0.0


def test_grading_leaves_the_entry_as_it_was() -> None:
    for task in ("arc_agi", "number_sorting", "boxnet"):
        for problem in gym_problems(task, count=3, seed=2):
            before = json.dumps(problem.meta)
            check(problem, tagged(problem.answer or "{}"))
            assert json.dumps(problem.meta) == before


def test_what_a_scorer_raises_leaves_the_response_ungraded() -> None:
    grade = check(gym_problems("game_of_life", count=1, seed=1)[0], tagged("{}"))
    assert grade == (None, None, "crash: KeyError: 0")


def test_scorers_do_not_print(capfd: pytest.CaptureFixture[str]) -> None:
    problem = gym_problems("tower_of_hanoi", count=1, seed=1)[0]
    gym_problems("bf", count=1, seed=1)
    check(problem, tagged(problem.answer + "\n" + problem.answer))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(("task", "near"), [("chain_sums", "chain_sum"), ("", "gym:"), ("composite", "gym:")])
def test_an_unknown_task_names_the_nearest(task: str, near: str) -> None:
    with pytest.raises(InputError, match="no reasoning-gym task") as refusal:
        gym_problems(task, count=1, seed=1)
    assert near in refusal.value.remedy
    with pytest.raises(InputError, match="no reasoning-gym task"):
        validate_problem(replace(gym_problems("gcd", count=1, seed=1)[0], verifier=f"gym:{task}"))


@pytest.mark.parametrize("config", [{"min_term": 3}, {"min_terms": -3}])
def test_a_bad_config_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="refuses the config of chain_sum"):
        gym_problems("chain_sum", count=1, seed=1, **config)


@pytest.mark.parametrize("meta", [{}, {"entry": "x"}, {"entry": {"answer": "1"}}, {"entry": {"metadata": {}}}])
def test_a_problem_without_an_entry_is_refused(meta: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="has no reasoning-gym entry"):
        validate_problem(replace(gym_problems("gcd", count=1, seed=1)[0], meta=meta))
