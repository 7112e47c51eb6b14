import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from titer.errors import InputError
from titer.records import Overlap, Problem, Trace, find_overlap, refuse_overlap
from titer.records.normal import normalised
from titer.records.overlap import without_repeats


def problem(name: str, prompt: str) -> Problem:
    return Problem(id=name, prompt=prompt, answer="7")


def trace(name: str, prompt: str) -> Trace:
    return Trace(id=name, problem_id="", prompt=prompt, response="7")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 3 + 4?", "what is  3+4"),
        ("Find  x.\n", "find x"),
        ("“Find” x!", '"Find" x'),
        ("ＡＢＣ １２", "abc 12"),
        ("ﬁnd x", "find x"),
        ("STRASSE", "Straße"),
        ("cafe\u0301", "café"),
        ("5 − 3", "5 - 3"),
        ("3 × 4", "3 * 4"),
        ("6 ÷ 2", "6/2"),
        ("$x^2$", "x ^ 2"),
        ("x²", "x^2"),
        ("½", "1/2"),
        ("\\(a+b\\)", "$a+b$"),
        ("a well-known sum", "a well known sum"),
        ("x^{2} + 1", "x^2 + 1"),
        ("x^{-1}", "x^-1"),
        ("x^{} y", "x^ y"),
        ("2 *\n  (3 + 4)", "2 * (3 + 4)"),
        ("\\frac{1}{2} of it", "\\frac 1 2 of it"),
        ("the length (in cm) is 5", "the length in cm is 5"),
        ("2 * (3)", "2 * 3"),
        ("2(x+1)", "2 (x + 1)"),
        ("sin(x+1)", "sin (x+1)"),
        ("2^{n+1}", "2^(n+1)"),
        ("5 * (-3)", "5 * -3"),
        ("(3+4) = ?", "3+4=?"),
    ],
)
def test_the_same_exercise_written_differently(one: str, other: str) -> None:
    assert find_overlap([trace("t", one)], [problem("p", other)]) == [Overlap("t", "p", "normalised")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 + 4", "3 4"),
        ("3 + 4", "3 - 4"),
        ("3 + 4", "34"),
        ("-5", "5"),
        ("1 2", "12"),
        ("3.5", "35"),
        ("3.5", "3 5"),
        ("x < 5", "x > 5"),
        ("x ≤ 5", "x ≥ 5"),
        ("x = 5", "x 5"),
        ("5²", "52"),
        ("3½", "31/2"),
        ("x - y", "x y"),
        ("x-y", "x y"),
        ("2/3", "2 3"),
        ("√2", "2"),
        ("Calculate (2 + 3) * 4.", "Calculate 2 + 3 * 4."),
        ("2(3 + 4)", "2 3 + 4"),
        ("x^{2}y", "x^{2y}"),
        ("5!", "5"),
        ("(2 + 3)!", "2 + 3"),
        ("f(x + 1)", "f(x) + 1"),
        ("sin(x + 1)", "sin x + 1"),
        ("5 != 3", "5 = 3"),
        ("कि", "का"),
        ("", "?"),
        ("🙂", "🙁"),
    ],
)
def test_different_exercises(one: str, other: str) -> None:
    assert find_overlap([trace("t", one)], [problem("p", other)]) == []


def test_exact_and_normalised_are_told_apart_and_every_pair_is_listed() -> None:
    train = [trace("t1", "3 + 4?"), problem("q", "new"), trace("t2", "3+4"), trace("t3", "🙂")]
    evaluation = [problem("p1", "3 + 4?"), problem("p2", "3 + 4"), problem("p3", "other"), problem("p4", "🙂")]
    assert find_overlap(iter(train), iter(evaluation)) == [
        Overlap("t1", "p1", "exact"),
        Overlap("t1", "p2", "normalised"),
        Overlap("t2", "p1", "normalised"),
        Overlap("t2", "p2", "normalised"),
        Overlap("t3", "p4", "exact"),
    ]


def test_refusing_names_how_many_and_the_first() -> None:
    refuse_overlap([trace("t1", "3 + 4?")], [problem("p1", "4 + 3?")])
    with pytest.raises(InputError) as caught:
        refuse_overlap([trace("t1", "3 + 4"), trace("t2", "3 + 4")], [problem("p1", "3 + 4?")])
    assert str(caught.value) == (
        "1 evaluation problem among the training prompts, first 'p1' = training 't1' (normalised); "
        "remove them from one side, or, in a run, say data.on_bad=drop: then they are not evaluated"
    )
    with pytest.raises(InputError, match="2 evaluation problems among"):
        refuse_overlap([trace("t1", "3 + 4")], [problem("p1", "3 + 4?"), problem("p2", "3 + 4")])


CALCULATIONS = st.text(st.sampled_from("()[]{}+-*/^_=<>!xy12 \\ab,"), max_size=30)


@given(st.text() | CALCULATIONS)
@example("0{.-}")
def test_the_normal_form_is_its_own_normal_form(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


@given(st.lists(st.sampled_from(["3", "12", "x", "+", "-", "*", "/", "^", "=", "<", ">"])), st.text(" \t\n,;?$\\"))
def test_layout_and_punctuation_between_tokens_do_not_count(tokens: list[str], filling: str) -> None:
    assert normalised(f" {filling} ".join(tokens)) == " ".join(tokens)


def test_repeats_are_left_out_and_the_first_stays() -> None:
    def trace(name: str, response: str) -> Trace:
        return Trace(id=name, problem_id="p", prompt="?", reasoning="", response=response)

    kept = without_repeats([trace("a", "7"), trace("b", "8"), trace("c", "7")])
    assert [one.id for one in kept] == ["a", "b"]
