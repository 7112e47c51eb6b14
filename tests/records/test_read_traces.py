import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from titer.errors import InputError
from titer.records import Trace, prompt_id, read_problems, read_traces

Read = Callable[[dict[str, Any]], Trace]
USER = {"role": "user", "content": "3 + 4?"}
HARMONY = "<|channel|>analysis<|message|>Add.<|end|><|start|>assistant<|channel|>final<|message|>7<|return|>"
BLOCKS = "<|begin_of_thought|>\n\nAdd.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n7\n\n<|end_of_solution|>"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_one(row: dict[str, Any]) -> Trace:
        path = tmp_path / "traces.jsonl"
        path.write_text(json.dumps(row) + "\n")
        [trace] = read_traces(path)
        return trace

    return read_one


def said(content: object, **beside: object) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **beside}


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "3 + 4?", "reasoning": "Add.", "response": "7"},
        {"question": "3 + 4?", "thinking": "Add.", "solution": "7"},
        {"instruction": "3 + 4?", "input": "", "output": "<think>Add.</think>7"},
        {"prompt": "3 + 4?", "completion": "<think>\nAdd.\n</think>\n\n7"},
        {"prompt": "3 + 4?", "completion": "Add.\n</think>\n\n7"},
        {"prompt": "3 + 4?<think>\n", "completion": "Add.\n</think>\n\n7"},
        {"prompt": "3 + 4?<think>\n", "completion": "<think>Add.\n</think>\n\n7"},
        {"prompt": "3 + 4?<think>\n", "reasoning": "Add.", "completion": "7"},
        {"prompt": [USER], "completion": [said("<think>Add.</think>7")]},
        {"prompt": [USER], "completion": [said("7", reasoning_content="Add.")]},
        {"input": [USER], "output": "<think>Add.</think>7"},
        {"messages": [USER, said("<think>Add.</think>7")]},
        {"messages": [USER, said("7", reasoning_content="Add.")]},
        {"messages": [USER, said("7", reasoning="Add.", reasoning_content=None)]},
        {"messages": [USER, said("7", thinking="Add.")]},
        {"messages": [USER, said("7")], "reasoning": "Add."},
        {"messages": [USER, said([{"type": "thinking", "thinking": "Add."}, {"type": "text", "text": "7"}])]},
        {"messages": [USER, said(HARMONY)]},
        {"messages": [USER, said(BLOCKS)]},
        {"conversations": [{"from": "human", "value": "3 + 4?"}, {"from": "gpt", "value": BLOCKS}]},
        {"conversations": [USER, said("<think>Add.</think>7")]},
    ],
)
def test_every_form_gives_the_same_trace(read: Read, row: dict[str, Any]) -> None:
    trace = read(row)
    assert (trace.prompt, trace.reasoning, trace.response) == ("3 + 4?", "Add.", "7")
    assert (trace.truncated, trace.correct, trace.meta) == (False, None, {})
    assert trace.problem_id == prompt_id("3 + 4?")


def test_fields_beside_the_completion(read: Read) -> None:
    row = {
        "id": 5,
        "problem_id": "p1",
        "problem": "3 + 4?",
        "response": "7",
        "model": "Qwen3-4B",
        "gold": 7,
        "verifier": "exact",
        "subject": "sums",
        "correct": True,
        "steps": [{"text": "Add."}],
    }
    assert read(row) == Trace(
        id="5",
        problem_id="p1",
        prompt="3 + 4?",
        response="7",
        teacher="Qwen3-4B",
        answer="7",
        verifier="exact",
        domain="sums",
        correct=True,
        meta={"steps": [{"text": "Add."}]},
    )


@pytest.mark.parametrize("key", ["teacher", "model", "generator", "source_model"])
def test_teacher_names(read: Read, key: str) -> None:
    assert read({"problem": "?", "response": "7", key: "R1"}).teacher == "R1"


def test_messages_before_the_last_user_turn_are_kept(read: Read) -> None:
    earlier = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}, said("Hello!")]
    trace = read({"messages": [*earlier, USER, said("7")]})
    assert (trace.prompt, trace.response, trace.meta) == ("3 + 4?", "7", {"earlier_messages": earlier})


def test_system_column_of_sharegpt_files(read: Read) -> None:
    talk = [{"from": "human", "value": "3 + 4?"}, {"from": "gpt", "value": "7"}]
    trace = read({"system": "Be brief.", "conversations": talk})
    assert trace.meta == {"earlier_messages": [{"role": "system", "content": "Be brief."}]}


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "?", "response": "<think>Add, and"},
        {"problem": "?<think>", "response": "Add, and"},
        {"problem": "?", "reasoning": "Add, and", "response": ""},
        {"problem": "?", "reasoning": "Add, and"},
        {"problem": "?", "reasoning": "Add, and", "response": "7", "truncated": True},
        {"problem": "?", "reasoning": "Add, and", "response": "7", "finish_reason": "length"},
        {"problem": "?", "reasoning": "Add, and", "response": "7", "finish_reason": "MAX_TOKENS"},
        {"problem": "?", "reasoning": "Add, and", "response": "7", "stop_reason": "max_tokens"},
        {"messages": [USER, said(None, reasoning_content="Add, and")]},
        {"messages": [USER, said("<|channel|>analysis<|message|>Add, and")]},
    ],
)
def test_truncated_traces_are_marked(read: Read, row: dict[str, Any]) -> None:
    trace = read(row)
    assert trace.truncated
    assert trace.reasoning == "Add, and"


@pytest.mark.parametrize("mode", ["on", "off", "High", "none", "minimal", "enabled", True])
def test_a_reasoning_column_that_names_a_mode_is_no_reasoning(read: Read, mode: str | bool) -> None:
    trace = read({"input": "3 + 4?", "output": "7", "reasoning": mode})
    assert (trace.reasoning, trace.response, trace.meta) == ("", "7", {"reasoning": mode})


def test_thinking_inside_the_text_goes_before_thinking_beside_it(read: Read) -> None:
    trace = read({"problem": "?", "reasoning": "A summary.", "response": "<think>Add.</think>7"})
    assert (trace.reasoning, trace.response, trace.meta) == ("Add.", "7", {"reasoning": "A summary."})


def test_thinking_in_the_message_goes_before_thinking_in_the_row(read: Read) -> None:
    trace = read({"messages": [USER, said("7", reasoning="Add.")], "reasoning": "A summary."})
    assert (trace.reasoning, trace.response, trace.meta) == ("Add.", "7", {"reasoning": "A summary."})


def test_tags_that_the_response_only_mentions_stay_when_reasoning_stands_beside(read: Read) -> None:
    trace = read({"problem": "?", "reasoning": "Add.", "response": "The tag </think> ends thinking."})
    assert (trace.reasoning, trace.response) == ("Add.", "The tag </think> ends thinking.")


def test_the_worked_solution_beside_a_gold_answer_is_kept(read: Read) -> None:
    trace = read({"problem": "?", "response": "7", "answer": "3 + 4 = 7.\n#### 7"})
    assert (trace.answer, trace.meta) == ("7", {"solution": "3 + 4 = 7."})


def test_traces_and_problems_without_ids_join_by_text(tmp_path: Path) -> None:
    problems, traces = tmp_path / "p.jsonl", tmp_path / "t.jsonl"
    problems.write_text('{"question": "3 + 4?", "answer": 7}\n')
    traces.write_text(json.dumps({"messages": [{"role": "user", "content": "3 + 4?\n"}, said("7")]}))
    [problem], [trace] = read_problems(problems), read_traces(traces)
    assert problem.id == trace.problem_id


def test_ids_of_traces_without_one_differ_by_content(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"problem": "?", "response": answer, "model": model} for answer in "78" for model in "ab"]
    path.write_text("\n".join(map(json.dumps, rows)))
    first, second = list(read_traces(path)), list(read_traces(path))
    assert len({trace.id for trace in first}) == 4
    assert first == second


def test_thinking_as_a_part_of_the_content(read: Read) -> None:
    text = {"type": "text", "text": "7"}
    for part in (
        {"type": "reasoning", "text": "Add."},
        {"type": "thinking", "thinking": "Add.", "text": ""},
        {"type": "thinking", "thinking": "Add."},
        {"thinking": "Add."},
    ):
        trace = read({"messages": [USER, said([part, text])]})
        assert (trace.reasoning, trace.response) == ("Add.", "7")


def test_the_same_question_behind_other_turns_is_another_problem(read: Read) -> None:
    def asked(*earlier: dict[str, str]) -> Trace:
        return read({"messages": [*earlier, USER, said("7")]})

    first = [{"role": "user", "content": "Let x = 3."}, {"role": "assistant", "content": "OK."}]
    other = [{"role": "user", "content": "Let x = 6."}, {"role": "assistant", "content": "OK."}]
    assert len({asked().problem_id, asked(*first).problem_id, asked(*other).problem_id}) == 3
    # the file of problems has no system prompt where its traces do
    assert asked({"role": "system", "content": "Be brief."}).problem_id == asked().problem_id


def test_rows_of_a_model_that_was_given_tools_are_refused(read: Read) -> None:
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    for given in (tools, json.dumps(tools)):
        with pytest.raises(InputError, match="titer writes into no prompt"):
            read({"messages": [USER, said("7")], "tools": given})
    for none in ([], "[]", None, "calculator"):
        assert read({"messages": [USER, said("7")], "tools": none}).response == "7"


def test_the_arguments_of_an_earlier_tool_call_are_an_object(read: Read) -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": '{"a": 3, "b": 4}'}}
    turns = [USER, said("", tool_calls=[call]), {"role": "tool", "content": "7"}]
    trace = read({"messages": [*turns, USER, said("7")]})
    [kept] = trace.meta["earlier_messages"][1]["tool_calls"]
    assert kept["function"]["arguments"] == {"a": 3, "b": 4}
