from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.traces import BEHAVIOURS, read_steps
from titer.traces.cues import ANEW, CUES, DEFINITIONS, STEMS
from titer.traces.cut import cut, join
from titer.traces.rules import judge

BEFORE = "We begin. " * 5  # so that no step stands at the beginning, where the problem is set up

CLEAR = {
    "propose": [
        "Alternatively, use vectors.",
        "Maybe there is another way to see it.",
        "What if x is negative?",
        "Let's try small numbers.",
        "Perhaps factor the left side.",
        "Let me think of it as a graph.",
        "也许可以换一种方法。",
    ],
    "deduce": [
        "So 3 + 4 = 7.",
        "Substituting x gives 12.",
        "Multiply both sides by two.",
        "The triangle has three sides.",
        "2x = 10.",
    ],
    "verify": [
        "Let me double-check that.",
        "Let me verify with n = 2.",
        "That checks out.",
        "Yes, both give the same result.",
        "让我们验证一下。",
    ],
    "backtrack": [
        "That doesn't work.",
        "That doesn’t work.",
        "Wait, no, that is wrong.",
        "I made a mistake there.",
        "This leads to a contradiction.",
        "这个方法行不通。",
    ],
    "recap": [
        "The answer is 12.",
        "So the final answer is \\boxed{12}.",
        "In summary, there are twelve.",
        "最终答案是 12。",
    ],
}


@pytest.mark.parametrize(("behaviour", "sentence"), [(b, s) for b, found in CLEAR.items() for s in found])
def test_clear_sentences(behaviour: str, sentence: str) -> None:
    assert [step.behaviour for step in read_steps(BEFORE + sentence)][5:] == [behaviour]


@pytest.mark.parametrize(
    "sentence", ["Okay, so there are two trains.", "We are given a triangle.", "Given that x is 3, find y."]
)
def test_only_the_beginning_sets_up(sentence: str) -> None:
    assert read_steps(sentence)[0].behaviour == "setup"
    assert read_steps("No. " * 20 + sentence)[20].behaviour != "setup"


def test_a_question_proposes_and_an_equation_deduces() -> None:
    sentences = [
        "Is the sum even?",
        "The sum is even.",
        "Consider it.",
        "Consider x = 3.",
        "But is x = 3?",
        "Is x = 3?",
    ]
    found = [read_steps(BEFORE + sentence)[5].behaviour for sentence in sentences]
    assert found == ["propose", "deduce", "deduce", "deduce", "deduce", "deduce"]


def test_cues_are_whole_words_in_any_case() -> None:
    assert read_steps(BEFORE + "ALTERNATIVELY, X.")[5].behaviour == "propose"
    assert read_steps(BEFORE + "The contradictions of perhapsness.")[5].behaviour == "deduce"


def test_what_opens_a_step_opens_it_after_a_word_or_two() -> None:
    assert read_steps(BEFORE + "Okay, so maybe it is odd.")[5].behaviour == "propose"
    assert read_steps(BEFORE + "The number we found is maybe odd.")[5].behaviour == "propose"  # 2 of "maybe" anywhere
    assert read_steps(BEFORE + "Yes, 5.")[5].behaviour == "verify"
    assert read_steps(BEFORE + "They said to all of us yes.")[5].behaviour == "deduce"


def test_only_a_proposal_turns_to_another_line() -> None:
    text = join([b"Alternatively, use vectors. Perhaps so. Let me think. The answer is perhaps 3, the final answer."])
    judged = judge(text, cut(text))
    assert [BEHAVIOURS[b] for b in judged.behaviour_S] == ["propose", "propose", "propose", "recap"]
    assert judged.anew_S.tolist() == [True, True, False, False]


def test_no_step_no_judgement() -> None:
    text = join([b"", b""])
    assert len(judge(text, cut(text)).behaviour_S) == 0 == len(judge(join([]), cut(join([]))).anew_S)


def test_the_lexicon_is_sound() -> None:
    assert {cue.behaviour for cue in CUES} == set(BEHAVIOURS) == set(DEFINITIONS)
    phrases = {cue.phrase for cue in CUES}
    assert all(cue.phrase == cue.phrase.lower().strip() and cue.phrase and cue.weight > 0 for cue in CUES)
    assert phrases >= set(STEMS)
    assert len(phrases & set(ANEW)) > 20


@given(st.lists(st.sampled_from([s + " " for found in CLEAR.values() for s in found]), min_size=5, max_size=12))
@settings(deadline=None)
def test_a_step_is_judged_by_itself(sentences: list[str]) -> None:
    """Past the beginning of a text, what stands around a step does not matter."""
    together = read_steps(BEFORE + "".join(sentences))[5:]
    assert [s.behaviour for s in together] == [read_steps(BEFORE + s)[5].behaviour for s in sentences]
