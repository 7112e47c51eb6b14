from __future__ import annotations

import random

import pytest

from titer.traces.near import near_duplicates

LONG = "A farmer has 17 sheep and buys 25 more at the market; how many sheep stand in the meadow the next morning?"
NEAR = LONG.replace("morning", "evening")
OTHER = "Find the sum of all positive integers below one hundred that are divisible by neither three nor seven."


def test_identical_and_differently_written() -> None:
    found = near_duplicates({"a": LONG, "b": LONG, "c": LONG.upper().replace("; ", " ;\n"), "d": OTHER}, threshold=0.8)
    assert {name: (twin.id, twin.similarity, twin.evaluation) for name, twin in found.items()} == {
        "b": ("a", 1.0, False),
        "c": ("a", 1.0, False),
    }


def test_near_is_a_matter_of_the_threshold() -> None:
    words = [text.lower().replace(";", "").replace("?", "").split() for text in (LONG, NEAR)]
    a, b = ({tuple(one[i : i + 3]) for i in range(len(one) - 2)} for one in words)
    exact = len(a & b) / len(a | b)
    found = near_duplicates({"a": LONG, "b": NEAR}, threshold=0.6)
    assert found["b"].id == "a" and found["b"].similarity == pytest.approx(exact, abs=0.14)  # three standard errors
    assert near_duplicates({"a": LONG, "b": NEAR}, threshold=0.99) == {}


def test_few_pairs_above_the_threshold_are_missed() -> None:
    """Prompts of 60 three-word sequences of which 5 differ from their twin's: Jaccard .85."""
    words = [[f"w{n}x{i}" for i in range(62)] for n in range(100)]
    prompts = {f"{n}": " ".join(one) for n, one in enumerate(words)}
    twins = {f"twin {n}": " ".join([*one[:-5], *"abcde"]) for n, one in enumerate(words)}
    found = near_duplicates(prompts | twins, threshold=0.75)
    assert len(found) > 95 and all(name == f"twin {twin.id}" for name, twin in found.items())


def test_numbers_tell_problems_apart() -> None:
    assert near_duplicates({"a": "What is 3 + 4?", "b": "What is 5 + 6?"}, threshold=0.8) == {}


def test_evaluation_problems_come_first_and_may_share_ids() -> None:
    found = near_duplicates({"x": LONG, "y": NEAR, "z": OTHER}, threshold=0.6, against={"x": LONG})
    assert {name: (twin.id, twin.evaluation) for name, twin in found.items()} == {"x": ("x", True), "y": ("x", True)}


def test_what_is_dropped_drops_nothing_itself() -> None:
    """b resembles a, c resembles b but not a: c stays, as b is gone."""
    words = [f"word{i}" for i in range(60)]
    a, b, c = (" ".join(words[i : i + 40]) for i in (0, 8, 16))
    found = near_duplicates({"a": a, "b": b, "c": c}, threshold=0.5)
    assert found.keys() == {"b"}
    assert near_duplicates({"b": b, "c": c}, threshold=0.5).keys() == {"c"}


@pytest.mark.parametrize("prompt", ["", "?", "two words", "🎉"])
def test_short_prompts(prompt: str) -> None:
    assert near_duplicates({"a": prompt, "b": prompt, "c": LONG}, threshold=1.0).keys() == {"b"}
    assert near_duplicates({}, threshold=0.8) == {}


TEMPLATE = (
    "Using the numbers {numbers}, create an equation that equals {target}. You can use basic arithmetic operations and "
    "each number can only be used once. Show your work in think tags, and return the final answer in answer tags."
)


def templated(count: int, seed: int) -> dict[str, str]:
    rng = random.Random(seed)
    return {
        f"{seed}:{i}": TEMPLATE.format(numbers=[rng.randint(1, 99) for _ in range(4)], target=rng.randint(10, 999))
        for i in range(count)
    }


def test_what_a_template_says_makes_no_two_problems_alike() -> None:
    training, evaluation = templated(300, 0), templated(100, 1)
    assert near_duplicates(training, threshold=0.8, against=evaluation) == {}
    # and the same problem is found, behind an instruction too
    training |= {"same": evaluation["1:7"], "inside": f"Here is a problem for you. {evaluation['1:8']} Think first."}
    found = near_duplicates(training, threshold=0.8, against=evaluation)
    assert {name: (twin.id, twin.evaluation) for name, twin in found.items()} == {
        "same": ("1:7", True),
        "inside": ("1:8", True),
    }


def test_many_copies_of_one_problem_are_no_template() -> None:
    copies = {f"{i}": LONG for i in range(30)}
    assert near_duplicates(copies, threshold=0.8).keys() == {f"{i}" for i in range(1, 30)}


def test_what_is_left_of_a_template_stands_in_no_other_problem() -> None:
    capitals = {f"c{i}": f"What is the capital of land{i}?" for i in range(60)} | {
        "p": "What is the capital of France?"
    }
    essay = (
        "Write a long essay about Paris, the capital of France, its history, its people and the river that it lies on."
    )
    assert near_duplicates({"e": essay}, threshold=0.8, against=capitals) == {}


def test_a_family_of_near_copies_is_no_template() -> None:
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "May", "June", "July", "noon")
    family = {day: LONG.replace("morning", day) for day in days}
    others = {f"o{i}": " ".join(f"w{i}x{k}" for k in range(30)) for i in range(60)}
    assert near_duplicates(family | others, threshold=0.7).keys() >= set(days[1:])
