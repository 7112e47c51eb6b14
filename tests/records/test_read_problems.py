import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from titer.records import Problem, prompt_id, read_problems

Read = Callable[..., Problem]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_one(row: dict[str, Any], **options: object) -> Problem:
        path = tmp_path / "problems.jsonl"
        path.write_text(json.dumps(row) + "\n")
        [problem] = read_problems(path, **options)
        return problem

    return read_one


@pytest.mark.parametrize("key", ["prompt", "problem", "question", "instruction", "input"])
def test_prompt_names(read: Read, key: str) -> None:
    assert read({key: "3 + 4?", "answer": "7"}).prompt == "3 + 4?"


@pytest.mark.parametrize("key", ["answer", "gold", "final_answer", "target", "ground_truth"])
def test_answer_names(read: Read, key: str) -> None:
    assert read({"prompt": "3 + 4?", key: "7"}).answer == "7"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (7, "7"),
        (7.0, "7"),
        (0, "0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (["7"], "7"),
        ("\\frac{1}{2}", "\\frac{1}{2}"),
        ("48/2 = 24.\n48 + 24 = 72.\n#### 72", "72"),
        ("So much.\n#### 1,234,567.5", "1234567.5"),
        ("A pair.\n#### 1,2", "1,2"),
        ("#### -3", "-3"),
    ],
)
def test_answers_become_text(read: Read, answer: object, text: str) -> None:
    assert read({"prompt": "?", "answer": answer}).answer == text


def test_the_worked_solution_of_a_gsm8k_answer_is_kept(read: Read) -> None:
    assert read({"question": "?", "answer": "48/2 = 24.\n#### 24"}).meta == {"solution": "48/2 = 24."}


def test_the_first_name_that_holds_something_counts_and_the_others_are_kept(read: Read) -> None:
    row = {"prompt": " ", "problem": "3 + 4?", "question": "rendered", "answer": None, "gold": 7, "target": 8}
    problem = read(row)
    assert (problem.prompt, problem.answer) == ("3 + 4?", "7")
    assert problem.meta == {"question": "rendered", "target": 8}


def test_ids(read: Read) -> None:
    assert read({"id": "a", "prompt": "?", "answer": "7"}).id == "a"
    assert read({"id": 3, "prompt": "?", "answer": "7"}).id == "3"
    assert read({"problem_id": "p", "prompt": "?", "answer": "7"}).id == "p"
    assert read({"prompt": "3 + 4?", "answer": "7"}).id == prompt_id("3 + 4?") == prompt_id(" 3 + 4?\n")
    # printf "3 + 4?" | b2sum -l 64
    assert prompt_id("3 + 4?") == "47c99e8a1f926b00"


def test_domain_verifier_and_meta(read: Read) -> None:
    row = {"prompt": "?", "answer": "7", "category": "sums", "level": 2, "note": None, "meta": {"numbers": [3, 4]}}
    problem = read(row, verifier="countdown")
    assert (problem.domain, problem.verifier) == ("sums", "countdown")
    assert problem.meta == {"numbers": [3, 4], "level": 2}
    assert read({**row, "verifier": "exact"}, verifier="countdown").verifier == "exact"


def test_alpaca_input_belongs_to_the_instruction(read: Read) -> None:
    assert read({"instruction": "Add.", "input": "3, 4", "answer": "7"}).prompt == "Add.\n\n3, 4"
    assert read({"instruction": "Add 3 and 4.", "input": "", "answer": "7"}).prompt == "Add 3 and 4."


@pytest.mark.parametrize("key", ["messages", "prompt", "conversations"])
def test_messages_as_prompt(read: Read, key: str) -> None:
    problem = read({key: [{"role": "user", "content": "3 + 4?"}], "answer": "7"})
    assert (problem.prompt, problem.meta) == ("3 + 4?", {})


def test_earlier_messages_are_kept(read: Read) -> None:
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": [{"type": "text", "text": "3 + "}, {"type": "text", "text": "4?"}]},
        {"role": "assistant", "content": "It is 7."},
    ]
    problem = read({"messages": talk, "answer": "7"})
    assert problem.prompt == "3 + 4?"
    assert problem.meta == {"earlier_messages": talk[:3], "response": "It is 7."}


def test_a_system_column_is_the_first_message(read: Read) -> None:
    problem = read({"prompt": "3 + 4?", "system": "Be brief.", "answer": "7"})
    assert problem.meta == {"earlier_messages": [{"role": "system", "content": "Be brief."}]}
