"""Whatever JSON a row is, it becomes a record or an InputError, never another error and never a silent gap."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.errors import InputError
from titer.records import Problem, Rollout, Trace, read_problems, read_rollouts, read_traces, write_records
from titer.records.columns import ANSWER, DOMAIN, MESSAGES, PROMPT, REASONING, RESPONSE, TEACHER

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "7", "<think>", "a</think>b"])
parts = st.dictionaries(st.sampled_from(["type", "text", "thinking"]), scalars, max_size=3)
messages = st.dictionaries(
    st.sampled_from(["role", "from", "content", "value", "reasoning"]),
    scalars | st.sampled_from(["user", "assistant", "human", "gpt"]) | st.lists(parts | scalars, max_size=2),
    max_size=4,
)
anything = scalars | st.lists(messages | scalars, max_size=3) | messages
names = [*PROMPT, *MESSAGES, *ANSWER, *RESPONSE, *REASONING, *TEACHER, *DOMAIN]
names += ["id", "problem_id", "verifier", "correct", "truncated", "finish_reason", "system", "meta", "other"]
rows = st.dictionaries(st.sampled_from(names), anything, max_size=8)
answered = rows.map({"problem": "?", "answer": "7", "response": "7"}.__or__)
own = st.sampled_from([Problem, Trace, Rollout]).flatmap(
    lambda kind: st.fixed_dictionaries(dict.fromkeys(kind.__dataclass_fields__, anything))
)


@pytest.mark.parametrize("read", [read_problems, read_traces, read_rollouts])
def test_any_row_is_read_or_refused(tmp_path: Path, read: Callable[[Path], Iterator[Any]]) -> None:
    path, again = tmp_path / "rows.jsonl", tmp_path / "again.jsonl"

    @settings(max_examples=300, deadline=None)
    @given(rows | answered | own)
    def check(row: dict[str, Any]) -> None:
        path.write_text(json.dumps(row))
        try:
            [record] = read(path)
        except InputError as error:
            assert (error.file, error.row) == (str(path), 1)
            assert "\n" not in str(error)
        else:
            write_records(again, [record])
            [same] = read(again)
            assert repr(same) == repr(record)  # repr, because nan != nan

    check()
