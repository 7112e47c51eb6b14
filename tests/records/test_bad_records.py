"""Every fault of a file is one line that names the file, the row, the field and a remedy."""

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from titer.errors import InputError
from titer.records import read_problems, read_rollouts, read_traces

GOOD = b'{"id": "a", "prompt": "3 + 4?", "answer": "7"}\n'
USER = {"role": "user", "content": "?"}


def fault_of(read: Callable[..., Any], path: Path, **options: object) -> InputError:
    with pytest.raises(InputError) as caught:
        list(read(path, **options))
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("line", "field", "fault"),
    [
        (b'{"id": "b", "prompt": "?"', None, "broken JSON at column 26"),
        (b"not JSON", None, "broken JSON at column 1"),
        (b"[1]", None, "a list, not an object"),
        (b"7", None, "a number, not an object"),
        (b'{"n": ' + b"9" * 5000 + b"}", None, "JSON beyond measure"),
        (b"[" * 100_000, None, "JSON beyond measure"),
        (b'{"prompt": "caf\xe9", "answer": "7"}', None, "not UTF-8 at byte 16 of the line"),
        (b'{"prompt": "\\ud83d", "answer": "7"}', None, "half a surrogate pair"),
        (b'{"answer": "7"}', "prompt", "no prompt"),
        (b'{"prompt": " ", "answer": "7"}', "prompt", "no prompt"),
        (b'{"prompt": "?"}', "answer", "no answer"),
        (b'{"prompt": "?", "answer": null}', "answer", "no answer"),
        (b'{"prompt": "?", "answer": NaN}', "answer", "no answer"),
        (b'{"prompt": "?", "answer": "so much\\n####"}', "answer", "no answer"),
        (b'{"prompt": 7, "answer": "7"}', "prompt", "a number, not text"),
        (b'{"prompt": "?", "answer": true}', "answer", "true or false, not text"),
        (b'{"prompt": "?", "answer": [1, 2]}', "answer", "a list, not text"),
        (b'{"prompt": "?", "answer": "7", "category": ["a"]}', "category", "a list, not text"),
        (b'{"prompt": "?", "answer": "7", "id": {"n": 1}}', "id", "an object, not text"),
        (b'{"id": "a", "prompt": "another", "answer": "7"}', "id", "an earlier problem has the id 'a' too"),
        (b'{"messages": [{"content": "?"}], "answer": "7"}', "messages", "a message without a role"),
        (b'{"messages": ["?"], "answer": "7"}', "messages", "a message that is text"),
        (b'{"messages": [{"role": "system", "content": "?"}], "answer": "7"}', "messages", "is by 'system'"),
        (
            b'{"messages": [{"role": "user", "content": [{"type": "image"}]}], "answer": "7"}',
            "messages",
            "a content part that is not text (image)",
        ),
    ],
)
def test_bad_problem_rows(tmp_path: Path, line: bytes, field: str | None, fault: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(GOOD + b"\n" + line + b"\n")
    error = fault_of(read_problems, path)
    assert (error.file, error.row, error.field) == (str(path), 3, field)
    assert fault in error.fault
    dropped: list[InputError] = []
    assert [p.id for p in read_problems(path, on_bad="drop", dropped=dropped)] == ["a"]
    assert [str(each) for each in dropped] == [str(error)]


@pytest.mark.parametrize(
    ("row", "field", "fault"),
    [
        ({"response": "7"}, "prompt", "no prompt"),
        ({"problem": "?"}, "response", "no response"),
        ({"problem": "?", "response": "<think></think>"}, "response", "no response"),
        ({"problem": "?", "response": 7}, "response", "a number, not text"),
        ({"problem": "?", "response": "7", "correct": 1}, "correct", "a number, not true or false"),
        ({"problem": "?", "response": "7", "truncated": "no"}, "truncated", "text, not true or false"),
        ({"problem": "?", "response": "7", "model": 3}, "model", "a number, not text"),
        ({"problem": "?", "response": "7", "reasoning": ["a"]}, "reasoning", "a list, not text"),
        ({"id": "a", "problem": "?", "response": "8"}, "id", "an earlier trace has the id 'a' too"),
        ({"messages": [USER]}, "messages", "it does not end in one message by the assistant"),
        ({"messages": "?"}, "messages", "text, not a list of messages"),
        ({"prompt": [USER, {"role": "assistant", "content": "So"}], "output": "7"}, "prompt", "is by 'assistant'"),
        (
            {"messages": [{"role": "assistant", "content": "7"}]},
            "messages",
            "the turn before the answer is missing",
        ),
        (
            {"messages": [USER, {"role": "tool", "content": "7"}, {"role": "assistant", "content": "7"}]},
            "messages",
            "the turn before the answer is by 'tool'",
        ),
    ],
)
def test_bad_trace_rows(tmp_path: Path, row: dict[str, Any], field: str, fault: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, [{"id": "a", "problem": "?", "response": "7"}, row])))
    error = fault_of(read_traces, path)
    assert (error.file, error.row, error.field) == (str(path), 2, field)
    assert fault in error.fault


@pytest.mark.parametrize(
    "row",
    [
        {"response": "<think>Add, and"},
        {"response": "7", "truncated": True},
        {"response": "7", "finish_reason": "length"},
    ],
)
def test_truncated_traces_are_bad_on_request(tmp_path: Path, row: dict[str, Any]) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"problem": "?", **row}))
    error = fault_of(read_traces, path, truncated="bad")
    assert (error.row, error.field) == (1, "truncated")
    dropped: list[InputError] = []
    assert list(read_traces(path, truncated="bad", on_bad="drop", dropped=dropped)) == []
    assert len(dropped) == 1
    assert [trace.truncated for trace in read_traces(path)] == [True]


def test_two_rows_alike_without_ids(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "?", "answer": 7}\n' * 2)
    assert "the same problem as in an earlier row" in fault_of(read_problems, path).fault
    path.write_text('{"prompt": "?", "response": "7"}\n' * 2)
    assert "the same trace as in an earlier row" in fault_of(read_traces, path).fault


@pytest.mark.parametrize("read", [read_problems, read_traces, read_rollouts])
@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("none.jsonl", None, "no such file or folder"),
        ("empty.jsonl", b"", "the file is empty"),
        ("blank.jsonl", b"\n \n", "the file is empty"),
        ("empty.jsonl.gz", gzip.compress(b"", mtime=0), "the file is empty"),
        ("table.xls", b"a,b\n", "a file of unknown kind"),
        ("header.csv", b"a,b\n", "the file is empty"),
        ("false.jsonl.gz", GOOD, "cannot be read at all: Not a gzipped file"),
        ("false.jsonl.zst", GOOD, "cannot be read at all"),
        ("false.parquet", GOOD, "cannot be read at all"),
    ],
)
def test_bad_files(tmp_path: Path, read: Callable[..., Any], name: str, content: bytes | None, fault: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    error = fault_of(read, path)
    assert (error.file, error.row) == (str(path), None)
    assert fault in error.fault


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_a_cut_archive_is_an_error_even_when_bad_rows_are_dropped(
    tmp_path: Path, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    rows = b"".join(b'{"id": "%d", "prompt": "%d?", "answer": "7"}\n' % (n, hash(str(n))) for n in range(20_000))
    path = tmp_path / f"p.jsonl{ending}"
    path.write_bytes(compress(rows)[:-20_000])
    dropped: list[InputError] = []
    error = fault_of(read_problems, path, on_bad="drop", dropped=dropped)
    assert "cannot be read beyond row" in error.fault
    assert dropped == []


@pytest.mark.parametrize(("ending", "compress"), [("", bytes), (".gz", gzip.compress), (".zst", zstandard.compress)])
def test_a_line_that_would_fill_the_memory_is_refused(
    tmp_path: Path, ending: str, compress: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titer.records.formats.LONGEST_LINE", 1 << 20)
    path = tmp_path / f"p.jsonl{ending}"
    path.write_bytes(compress(GOOD + b'{"prompt": "' + b"a" * (1 << 20) + b'", "answer": "7"}\n'))
    assert "cannot be read beyond row 1: line 2 is longer than 1 MiB" in fault_of(read_problems, path).fault


def test_a_dataset_folder_whose_offsets_lead_astray_is_one_line(tmp_path: Path) -> None:
    """Read as it is, such a file ends the process."""
    prompts = ["a" * 40, "b" * 40, "c" * 40]
    table = pa.table({"prompt": prompts, "answer": ["7", "8", "9"]})
    with pa.OSFile(str(tmp_path / "data.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    assert len(list(read_problems(tmp_path))) == 3
    path = tmp_path / "data.arrow"
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 40, 80, 120))
    data = path.read_bytes()
    assert data.count(offsets) == 1
    path.write_bytes(data.replace(offsets, offsets[:4] + b"\xff\xff\xff\x5a" + offsets[8:]))
    assert "cannot be read at all" in fault_of(read_problems, tmp_path).fault


def test_a_json_array_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps([{"prompt": "?", "answer": 7}], indent=1))
    assert "jq -c" in fault_of(read_problems, path).remedy


def test_folders_that_leave_a_choice(tmp_path: Path) -> None:
    assert "a folder without data files" in fault_of(read_problems, tmp_path).fault
    for split in ("train", "test"):
        (tmp_path / f"{split}-00000-of-00001.jsonl").write_bytes(GOOD)
    error = fault_of(read_problems, tmp_path)
    assert "several splits (test, train)" in error.fault
    assert str(tmp_path / "test-00000-of-00001.jsonl") in error.remedy


def test_an_empty_shard_is_named(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").write_bytes(GOOD)
    (tmp_path / "1.jsonl").touch()
    assert fault_of(read_problems, tmp_path).file == str(tmp_path / "1.jsonl")


def test_dropping_needs_a_list() -> None:
    with pytest.raises(ValueError, match="dropped"):
        read_problems("p.jsonl", on_bad="drop")


@pytest.mark.parametrize(
    ("change", "field", "fault"),
    [
        ({"tokens": None}, "tokens", "null, where int belongs"),
        ({"tokens": True}, "tokens", "true or false, where int belongs"),
        ({"finish_reason": "tired"}, "finish_reason", "'tired' is no finish reason"),
        ({"colour": "red"}, "colour", "no Rollout has this field"),
        ({"model": ...}, "model", "the field is missing"),
    ],
)
def test_bad_rollouts(tmp_path: Path, change: dict[str, Any], field: str, fault: str) -> None:
    row = {"problem_id": "a", "sample": 0, "model": "m", "prompt": "?", "reasoning": "", "response": "7"}
    row = {**row, "finish_reason": "stop", "tokens": 3, **change}
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({key: value for key, value in row.items() if value is not ...}))
    error = fault_of(read_rollouts, path)
    assert (error.row, error.field, error.fault) == (1, field, fault)


def test_a_refusal_crosses_processes() -> None:
    error = InputError("no answer", file="p.jsonl", row=3, field="answer", remedy="add the field")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and vars(again) == vars(error)
