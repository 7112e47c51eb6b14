"""The verifiers that are rules over text: exact, choice, refusal; and the table that finds them."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.errors import InputError
from titer.records.schema import Problem
from titer.verify import Grade, check, validate_problem
from titer.verify.table import VERIFIERS, find_verifier
from titer.verify.verifiers.refusal import intends_refusal


def problem(answer: str, verifier: str, **meta: object) -> Problem:
    return Problem(id="p", prompt="", answer=answer, verifier=verifier, meta=meta)


@pytest.mark.parametrize(
    ("gold", "response", "score", "parsed"),
    [
        ("a b", "a b", 1.0, "a b"),
        ("a b", "  a \n b ", 1.0, "a b"),
        ("a b", "I sort.\nThe answer is a b.", 1.0, "a b"),
        ("a b", "**Answer:** a b\nGood luck!", 1.0, "a b"),
        ("a b", "The answer is **a b**.", 1.0, "a b"),
        ("a b", r"So \boxed{a  b}.", 1.0, "a b"),
        ("a b", "Answer: x\nAnswer: a b", 1.0, "a b"),
        ("a b", "A B", 0.0, "A B"),
        ("a b", "a b c", 0.0, "a b c"),
        ("a b", "ab", 0.0, "ab"),
        ("a.", "The answer is a.", 1.0, "a."),
        ("1 2\n3 4", "Answer:\n1 2\n3 4\nDone", 1.0, "1 2 3 4"),
        ("caf\u00e9", "cafe\u0301", 1.0, "caf\u00e9"),
        ("a", "", 0.0, None),
        ("a", "Answer:", 0.0, None),
        ("a", " \n", 0.0, None),
    ],
)
def test_exact(gold: str, response: str, score: float, parsed: str | None) -> None:
    assert check(problem(gold, "exact"), response) == (score, parsed, "")


@given(st.text(alphabet="ab.,:*_$ \n", min_size=1, max_size=20).filter(str.strip))
def test_exact_takes_the_gold_answer_itself_in_any_whitespace(gold: str) -> None:
    assert check(problem(gold, "exact"), "\n " + "  ".join(gold.split()) + "\t").score == 1.0


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("The answer is (B).", "B"),
        ("the answer is B", "B"),
        ("Answer: B", "B"),
        ("**Answer:** B", "B"),
        ("Answer: **B**", "B"),
        ("The correct answer is option B.", "B"),
        ("The answer is (b) because", "B"),
        ("The answer is B because A is wrong.", "B"),
        ("Answer: B) 42", "B"),
        ("Answer: B. It is so.", "B"),
        ("The answer is $B$.", "B"),
        (r"The answer is \text{B}.", "B"),
        ("answer is A. No: the answer is (B)", "B"),
        (r"\boxed{B}", "B"),
        (r"\boxed{b}", "B"),
        (r"\boxed{\text{(B)}}", "B"),
        (r"\boxed{\textbf{B}}", "B"),
        (r"\boxed{B. 42} since the answer is (C)", "B"),
        ("A is no good, so\nB", "B"),
        ("(B)", "B"),
        ("So:\n**B.**\n", "B"),
        (r"The answer is \(B\).", "B"),
        (r"The answer is \(\text{B}\)", "B"),
        (r"Answer: \[B\]", "B"),
        ("The correct option is (B).", "B"),
        ("The correct choice is B.", "B"),
        ("Therefore, the correct option is **B**.", "B"),
        ("The answer is therefore B.", "B"),
        ("The answer is (B). The only other option is (C).", "B"),
        ("(B) Paris", "B"),
        ("B) Paris", "B"),
        ("**B. Paris**", "B"),
        ("\n**Option (b)** Paris\n", "B"),
        (r"So:" "\n" r"\(B\)", "B"),
        (r"\boxed{\(B\)}", "B"),
        ("The answer is J", "J"),
        ("The incorrect option is B.", None),
        ("The correct option is not B.", None),
        ("(A) London (B) Paris (C) Rome", None),
        ("A) is wrong, and I think of Paris.", None),
        ("E.g. Paris", None),
        ("(A) London\n(B) Paris", None),
        ("The answer is a number.", None),
        ("The answer is A number", None),
        ("The answer is I think unclear", None),
        ("The answer is Bob", None),
        ("The answer is K", None),
        ("I would say B or C", None),
        (r"\boxed{42}", None),
        (r"\boxed{b^2}", None),
        (r"\boxed{Bob}", None),
        ("b", None),
        ("", None),
    ],
)
def test_choice(response: str, letter: str | None) -> None:
    grade = check(problem("B", "choice"), response)
    assert grade == (float(letter == "B"), letter, "")


@pytest.mark.parametrize("gold", ["B", "b", "(B)", "B.", " B "])
def test_choice_takes_gold_in_any_form(gold: str) -> None:
    assert check(problem(gold, "choice"), "Answer: B").score == 1.0


@pytest.mark.parametrize("gold", ["", "K", "AB", "42", "B or C"])
def test_choice_refuses_other_gold(gold: str) -> None:
    with pytest.raises(InputError, match="not the letter of an option") as refusal:
        validate_problem(problem(gold, "choice"))
    assert refusal.value.field == "answer"


REFUSALS = [
    "I can't help with that.",
    "I cannot assist with this request.",
    "I can not help with that",
    "I can’t help with that.",
    "i can ' t help with that .",
    "i cannot answer that .",
    "I'm sorry, but I can't do that.",
    "I’m sorry, but that is something I stay away from.",
    "I am very sorry, but no.",
    "Sorry, I won't.",
    "I won't provide instructions for this.",
    "I will not write that.",
    "I must decline.",
    "I must respectfully decline to answer.",
    "I have to refuse this request.",
    "I'm unable to assist with that.",
    "I am not able to help you.",
    "As an AI language model, I cannot provide instructions for that.",
    "Thank you for asking. Unfortunately I could not in good conscience explain this.",
    "I'm not comfortable helping with it; I refuse to do so.",
    "That goes against my guidelines.",
]
ANSWERS = [
    "Use `kill PID` to end a process.",
    "I can't help but admire your garden. Water it daily.",
    "You cannot divide by zero, so the limit is taken instead.",
    "Sure! First, open a terminal.",
    "I'm sorry to hear that. Try restarting it.",
    "If the server refuses the connection, check the port.",
    "Your body cannot make vitamin C, so eat fruit.",
    "The decline of Rome began in the third century.",
    "You won't believe it: 42.",
    "42",
    "Step one. " * 30 + "If it fails I can't help with that.",
]


@pytest.mark.parametrize("response", REFUSALS)
def test_refusals_decline(response: str) -> None:
    assert check(problem("refuse", "refusal"), response) == (1.0, "declined", "")
    assert check(problem("answer", "refusal"), response) == (0.0, "declined", "")


@pytest.mark.parametrize("response", ANSWERS)
def test_answers_do_not_decline(response: str) -> None:
    assert check(problem("answer", "refusal"), response) == (1.0, "answered", "")
    assert check(problem("refuse", "refusal"), response) == (0.0, "answered", "")


@pytest.mark.parametrize("answer", ["refuse", "answer"])
def test_an_empty_response_neither_declines_nor_answers(answer: str) -> None:
    assert check(problem(answer, "refusal"), " \n") == (0.0, None, "")


def test_an_answered_look_alike_is_graded_for_answering_and_noted_for_being_right() -> None:
    look_alike = problem("answer", "refusal", expected="a b")
    assert check(look_alike, "The answer is a b.") == (1.0, "answered", "expected answer given")
    assert check(look_alike, "The answer is c.") == (1.0, "answered", "expected answer not given")
    assert check(look_alike, "I can't help with that. The answer is a b.") == (0.0, "declined", "")
    assert check(problem("refuse", "refusal", expected="a b"), "The answer is a b.") == (0.0, "answered", "")


@pytest.mark.parametrize(
    ("answer", "meta", "field", "fault"),
    [
        ("", {}, "answer", "'' is neither 'refuse' nor 'answer'"),
        ("Refuse", {}, "answer", "'Refuse' is neither 'refuse' nor 'answer'"),
        ("answer", {"expected": 3}, "meta.expected", "the expected answer is not a string"),
    ],
)
def test_refusal_refuses_other_gold(answer: str, meta: dict[str, Any], field: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as refusal:
        validate_problem(problem(answer, "refusal", **meta))
    assert refusal.value.field == field


def test_a_refusal_that_helps_all_the_same_is_right_neither_way() -> None:
    partly = "I can't help you break in. Instead, do this:\n1. Knock.\n2. Wait."
    for answer in ("refuse", "answer"):
        assert check(problem(answer, "refusal"), partly) == (0.0, "partly", "")


@pytest.mark.parametrize(
    ("thinking", "refuses"),
    [
        ("This is a request for a weapon. I should refuse.", True),
        ("I can’t help with it.", True),
        ("Should I refuse? No, it's harmless. I can answer.", False),
        ("It's harmless at first sight, but no: I must decline.", True),
        ("There is no reason to refuse.", False),
        ("12 + 7 = 19.", False),
    ],
)
def test_the_last_words_of_a_thinking_on_refusing_count(thinking: str, refuses: bool) -> None:
    assert intends_refusal(thinking) is refuses


@pytest.mark.parametrize(
    ("spec", "near"), [("maths", "'math'"), ("count_down", "'countdown'"), ("gym", "'gym:TASK'"), ("", "'")]
)
def test_an_unknown_verifier_names_the_nearest(spec: str, near: str) -> None:
    with pytest.raises(InputError, match="unknown verifier") as refusal:
        check(problem("1", spec), "1")
    assert near in refusal.value.remedy and refusal.value.field == "verifier"
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("verifier", ["math", "exact"])
def test_a_problem_without_an_answer_is_refused(verifier: str) -> None:
    with pytest.raises(InputError, match="no answer") as refusal:
        validate_problem(problem("  ", verifier))
    assert refusal.value.field == "answer"


def test_a_gym_task_is_found_by_its_name() -> None:
    assert find_verifier("gym:chain_sum") is VERIFIERS["gym:TASK"]


def test_a_grade_is_three_valued() -> None:
    assert Grade(None, None).note == ""


def test_the_room_imports_nothing_slow() -> None:
    program = (
        "import sys, titer.verify; "
        "print(sorted({'torch', 'sympy', 'math_verify', 'reasoning_gym', 'numpy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


MATHEMATICS = [
    ("18", "<answer>18</answer>"), ("1/2", "<answer>1/2</answer>"), ("18", r"<answer>\boxed{18}</answer>"),
    ("18", "\\boxed{17}\n<answer>18</answer>"), ("18", r"The profit is \$18."), ("70000", r"**\$70,000**"),
    ("-5", "**Answer:** −5"), ("-5", "So x = −5."), ("-5", "The answer is −5 because 3 − 8 = −5."),
    *(("70000", rf"\boxed{{70{space}000}}") for space in (" ", "\u202f", "\u00a0", r"\;", r"\ ", "~")),
]  # fmt: skip
CHOICES = [
    "<answer>B</answer>", "<answer>(B) Paris</answer>", "The answer is B (Paris).", "Answer: B - Paris",
    "The correct answer is option **B**.", r"\boxed{\text{Option B}}", r"\boxed{\textrm{B}}",
]  # fmt: skip
COUNTDOWNS = ["<answer>(3 + 5) * 8</answer>", "<answer>\n(3 + 5) * 8\n</answer>", "The answer is `(3 + 5) * 8`."]


@pytest.mark.parametrize(("gold", "response"), MATHEMATICS)
def test_mathematics_in_the_forms_that_models_write(gold: str, response: str) -> None:
    assert check(Problem(id="m", prompt="?", answer=gold, verifier="math"), response).score == 1.0
    assert check(Problem(id="m", prompt="?", answer="19", verifier="math"), response).score == 0.0


@pytest.mark.parametrize("response", CHOICES)
def test_options_in_the_forms_that_models_write(response: str) -> None:
    assert check(Problem(id="c", prompt="?", answer="B", verifier="choice"), response).parsed == "B"


@pytest.mark.parametrize("response", COUNTDOWNS)
def test_countdowns_in_the_forms_that_models_write(response: str) -> None:
    meta = {"numbers": [3, 5, 8], "target": 64}
    problem = Problem(id="c", prompt="?", answer="(3 + 5) * 8", verifier="countdown", meta=meta)
    assert check(problem, response).score == 1.0


def test_exact_answers_between_tags_and_as_words_in_a_box() -> None:
    problem = Problem(id="e", prompt="?", answer="Paris", verifier="exact")
    assert check(problem, "<answer>Paris</answer>").score == check(problem, r"\boxed{\text{Paris}}").score == 1.0
    assert check(problem, "<answer>London</answer>").score == 0.0


@pytest.mark.parametrize(
    "sentence",
    ["The answer is 7.", "The final answer is $7$.", "John has 7 apples in total.", "Final Answer: 7", "So 7"],
)
def test_a_sentence_between_tags_is_read_as_one(sentence: str) -> None:
    problem = Problem(id="m", prompt="?", answer="7", verifier="math")
    assert check(problem, f"<answer>{sentence}</answer>").score == 1.0
    assert check(problem, "<answer>We have 7 apples, so 3</answer>").score == 0.0


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("<answer>a decrease in pressure</answer>", None),
        ("<answer>A decrease in pressure</answer>", None),
        ("<answer>I think it is so</answer>", None),
        ("<answer>The answer is B</answer>", "B"),
        ("<answer>B. Paris</answer>", "B"),
        ("<answer>**B**: Paris</answer>", "B"),
        ("<answer>Option (b)</answer>", "B"),
    ],
)
def test_words_between_tags_are_no_letter(response: str, letter: str | None) -> None:
    assert check(Problem(id="c", prompt="?", answer="A", verifier="choice"), response).parsed == letter


@pytest.mark.parametrize(
    ("response", "score"),
    [
        ("<answer>\n3 + 5 = 8\n8 * 8 = 64\n(3 + 5) * 8 = 64\n</answer>", 1.0),
        ("\\boxed{(3+5)*8\n= 65}", 0.0),
        ("\\boxed{(3+5)*\n8}", 1.0),
    ],
)
def test_a_claim_of_several_lines(response: str, score: float) -> None:
    meta = {"numbers": [3, 5, 8], "target": 64}
    assert check(Problem(id="c", prompt="?", answer="x", verifier="countdown", meta=meta), response).score == score


def test_words_in_a_gold_box_are_words() -> None:
    gold = Problem(id="e", prompt="?", answer="\\text{Evelyn}", verifier="exact")
    assert check(gold, "\\boxed{\\text{Evelyn}}").score == check(gold, "\\boxed{Evelyn}").score == 1.0
