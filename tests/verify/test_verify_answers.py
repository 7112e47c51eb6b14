"""Where an answer is read from."""

import time

import pytest

from titer.records.boxed import last_listed
from titer.verify.answers import after_marker, first_lines, last_boxed, last_lines, last_tagged
from titer.verify.prose import formula_of


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (r"\boxed{5}", "5"),
        (r"\boxed{1}, no: \boxed{ 2 }.", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {7}", "7"),
        (r"\fbox{7}", "7"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{1 \} x}", r"1 \} x"),
        (r"\boxed{1} and \boxed{2", "1"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\boxed{}", ""),
        (r"\boxed{1", None),
        (r"\boxed 5", None),
        ("boxed{5}", None),
        ("", None),
    ],
)
def test_last_boxed(text: str, inside: str | None) -> None:
    assert last_boxed(text) == inside


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("The answer is 42.", "42."),
        ("the ANSWER IS: 42", "42"),
        ("Answer: 1\nAnswer: 2", "2"),
        ("**Answer:** 42", "42"),
        ("**Answer**: 42", "42"),
        ("**Final Answer:**\n42", "42"),
        ("answer : 42", "42"),
        ("The answer is **42**.", "42**."),
        ("Answer:\n_ _ Q _", "_ _ Q _"),
        ("The answers: 42", None),
        ("The answer isn't 42", None),
        ("The answer 42", None),
    ],
)
def test_after_marker(text: str, rest: str | None) -> None:
    assert after_marker(text) == rest


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("<answer>1</answer> <answer>\n2\n3 </answer> bye", "2\n3"),
        ("<ANSWER>1</ANSWER>", "1"),
        ("<answer>1</answer><answer>2", "1"),
        ("<answer>1<answer>2</answer>", "2"),
        ("<answer></answer>", ""),
        ("</answer>1<answer>", None),
        ("<answer>1", None),
        ("<answer>1</answer> and </answer>", "1"),
        ("<answer>1</answer> and <answer>", "1"),
    ],
)
def test_last_tagged(text: str, inside: str | None) -> None:
    assert last_tagged(text) == inside


@pytest.mark.parametrize(
    ("text", "gold", "read"),
    [
        ("42.\nGood luck!", "7", "42"),
        ("42**.", "7", "42"),
        ("**42.**", "7", "42"),
        ("2**3", "8", "2**3"),
        ("It rains.", "It snows.", "It rains."),
        ("It rains.", "It snows. ", "It rains."),
        ("1 2\n3 4\nDone.", "1 1\n1 1", "1 2\n3 4"),
        ("", "7", ""),
        ("a**", "b**", "a**"),
        ("**7**", "8", "7"),
    ],
)
def test_first_lines_takes_as_many_lines_as_gold_has(text: str, gold: str, read: str) -> None:
    assert first_lines(text, gold) == read


def test_last_lines_takes_as_many_lines_as_gold_has() -> None:
    assert last_lines("So:\n1 2\n3 4\n\n", "0 0\n0 0") == "1 2\n3 4"
    assert last_lines("So:\n**42**", "0") == "42"
    assert last_lines("****", "0") == "****"


@pytest.mark.parametrize(
    "piece",
    [r"\boxed{", "<answer>", "answer is ", "answer ", "{", "**", " ", "\\", r"\boxed{1}, ", r"\text{", "= ", "("],
)
def test_time_grows_with_length_and_not_with_its_square(piece: str) -> None:
    def seconds(text: str) -> float:
        start = time.process_time()
        for reader in (last_boxed, last_listed, after_marker, last_tagged, formula_of):
            reader(text)
        return time.process_time() - start

    text = "Answer: 5 " + r"\boxed{" + piece * 4_000
    short, long = min(seconds(text) for _ in range(3)), min(seconds(text * 8) for _ in range(3))
    assert long < 40 * short + 0.05  # 8 if linear, 64 if quadratic


class Copied(str):
    """Text that counts the characters of the slices taken from it."""

    count = 0

    def __getitem__(self, key):
        piece = Copied(super().__getitem__(key))
        Copied.count += len(piece)
        return piece


def test_unclosed_boxes_are_not_copied_again_and_again() -> None:
    """Copies are so fast that a clock notices their square only in minutes."""
    Copied.count = 0
    text = Copied(r"\boxed{" * 2_000)
    assert last_boxed(text) is None and Copied.count <= len(text)
    assert last_boxed(r"\boxed{7}" + r"\boxed{" * 200_000) == "7"


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (r"\boxed{1} and \boxed{2}", ("1", "2")),
        (r"$\boxed{1}$, $\boxed{2}$, and $\boxed{3}$", ("1", "2", "3")),
        (r"\boxed{1}; \boxed{2} or y = \boxed{3}", ("1", "2", "3")),
        (r"\boxed{1} and then \boxed{2}", ("2",)),
        (r"\boxed{1} \boxed{2}", ("2",)),
        (r"\boxed{1}, \boxed{\boxed{2}}", ("2",)),
        (r"\boxed{1}, " * 16 + r"\boxed{2}", ("2",)),
        ("7", ()),
    ],
)
def test_last_listed(text: str, inside: tuple[str, ...]) -> None:
    assert last_listed(text) == inside


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("Hence the answer is 2x+1 for all x.", "2x+1"),
        ("The answer is: 0.5. I hope so", "0.5"),
        ("Answer: (x, y) = (1, 2)", "(x, y) = (1, 2)"),
        ("The answer is 5 cm.", "5"),
        ("The answer is 5 or", "5 or"),
        ("The answer is unclear.", None),
        ("The answer is $5$.", None),
        (r"The answer is \(5\).", None),
        ("5", None),
        ("Answer: " + "1+" * 300 + "1", None),
    ],
)
def test_formula_of(text: str, formula: str | None) -> None:
    assert formula_of(text) == formula
