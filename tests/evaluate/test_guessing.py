"""What guessing comes to, beside every pass@k; and pass@k of two models, paired."""

from __future__ import annotations

import pytest

from titer.errors import InputError
from titer.evaluate import change_in_pass, guessing, summarise, with_guessing
from titer.records import Problem, Rollout


def problems(*answers: str, verifier: str = "exact") -> list[Problem]:
    return [Problem(id=f"p{i}", prompt="?", answer=answer, verifier=verifier) for i, answer in enumerate(answers)]


def test_ten_equal_answers_are_hit_by_eight_draws_in_57_percent() -> None:
    found = guessing(problems(*map(str, range(10))), ks=(1, 8))
    assert found[1] == pytest.approx(0.1) and found[8] == pytest.approx(1 - 0.9**8)


def test_the_most_frequent_answer_counts_where_it_goes_further() -> None:
    found = guessing(problems("yes", "yes", "yes", " no"), ks=(1, 4))
    assert found[1] == pytest.approx(0.75)  # drawing: .75 * .75 + .25 * .25
    assert found[4] == pytest.approx(0.75 * (1 - 0.25**4) + 0.25 * (1 - 0.75**4))


def test_there_is_nothing_to_guess_from() -> None:
    assert guessing(problems("7", verifier="countdown"), ks=(1,)) == {} == guessing([], ks=(1,))
    assert guessing(problems("follow", "follow", verifier="ifeval"), ks=(1,)) == {}  # no answer to give, all alike


def rollouts(model: str, **right: int) -> list[Rollout]:
    return [
        Rollout(problem_id=name, sample=i, model=model, prompt="?", reasoning="", response="", finish_reason="stop",
                tokens=1, score=float(i < n), parsed="x", suite="s")
        for name, n in right.items()
        for i in range(4)
    ]  # fmt: skip


def test_summaries_have_it_for_their_own_suite() -> None:
    (one,) = with_guessing(summarise(rollouts("m", p0=4, p1=0)), {"s": problems("a", "b")})
    assert list(one.guess_at) == list(one.pass_at) == [1, 2, 4] and one.guess_at[1] == 0.5
    (other,) = with_guessing(summarise(rollouts("m", p0=4, p1=0)), {})
    assert other.guess_at == {}


def test_pass_at_k_falls_while_pass_at_1_rises() -> None:
    """Half of the problems are solved always and half never, where all were solved now and then."""
    before = rollouts("a", **{f"p{i}": 1 for i in range(16)})
    after = rollouts("b", **{f"p{i}": 4 * (i % 2) for i in range(16)})
    low, mid, high = change_in_pass(before, after, k=4)
    assert mid == -0.5 and high < 0 and low <= mid
    assert change_in_pass(before, after, k=1).mid == 0.25
    assert change_in_pass(before, after, k=4) == change_in_pass(before, after, k=4)
    # four problems that differ, of which all fell, tell nothing
    four = {f"p{i}": 4 * (i > 3) for i in range(16)}
    few = change_in_pass(rollouts("a", **dict.fromkeys(four, 4)), rollouts("b", **four), k=4)
    assert few.mid == -0.25 and few.low < 0 <= few.high
    with pytest.raises(InputError, match="no problem has 5"):
        change_in_pass(before, after, k=5)


def test_problems_to_be_refused_and_to_be_answered_weigh_alike() -> None:
    found = guessing(problems(*["refuse"] * 9, "answer", verifier="refusal"), ks=(1, 2))
    assert found == pytest.approx({1: 0.5, 2: 0.75})
