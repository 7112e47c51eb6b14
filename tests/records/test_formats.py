"""The same rows out of every kind of file."""

import datetime
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from titer.errors import InputError
from titer.records import Problem, read_problems, read_traces
from titer.records.formats import decoded, raw_rows

ROWS: list[dict[str, Any]] = [
    {"id": f"p{n}", "prompt": f"{n} + 4? é ∑ \u2028", "answer": str(n + 4), "level": n} for n in range(150)
]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
PROBLEMS = [
    Problem(id=row["id"], prompt=row["prompt"], answer=row["answer"], meta={"level": row["level"]}) for row in ROWS
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.jsonl", LINES),
        ("p.json", LINES),
        ("p.ndjson", LINES),
        ("P.JSONL", LINES),
        ("p.jsonl", LINES.rstrip()),
        ("p.jsonl", LINES.replace(b"\n", b"\r\n")),
        ("p.jsonl", b"\xef\xbb\xbf" + LINES),
        ("p.jsonl.gz", gzip.compress(LINES, mtime=0)),
        ("p.json.gz", gzip.compress(LINES[:999], mtime=0) + gzip.compress(LINES[999:], mtime=0)),
        ("p.jsonl.zst", zstandard.compress(LINES)),
        ("p.jsonl.zst", zstandard.compress(LINES[:999]) + zstandard.compress(LINES[999:])),
    ],
)
def test_json_lines(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert list(read_problems(path)) == PROBLEMS


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=40)
    assert list(read_problems(path)) == PROBLEMS


def test_parquet_columns_that_json_cannot_hold_become_text(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    row = {**ROWS[0], "day": datetime.date(2025, 1, 2), "info": {"at": datetime.date(2025, 1, 2)}, "none": None}
    pq.write_table(pa.Table.from_pylist([row]), path)
    [problem] = read_problems(path)
    assert problem.meta == {"level": 0, "day": "2025-01-02", "info": {"at": "2025-01-02"}}


def test_messages_in_parquet(tmp_path: Path) -> None:
    talk = [
        {"role": "user", "content": "?", "reasoning_content": None},
        {"role": "assistant", "content": "7", "reasoning_content": "Add."},
    ]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist([{"messages": talk}]), path)
    [trace] = read_traces(path)
    assert (trace.prompt, trace.reasoning, trace.response, trace.meta) == ("?", "Add.", "7", {})


def test_rows_of_columnar_files_are_counted_from_one(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.Table.from_pylist([*ROWS[:100], {"id": "x", "prompt": "?", "answer": None}]), path)
    with pytest.raises(InputError, match="no answer") as caught:
        list(read_problems(path))
    assert caught.value.row == 101


def test_dataset_folder(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "d", num_shards=3)
    assert list(read_problems(tmp_path / "d")) == PROBLEMS


def test_dataset_folder_after_select_and_shuffle(tmp_path: Path) -> None:
    dataset = datasets.Dataset.from_list(ROWS).shuffle(seed=0).select(range(20))
    dataset.save_to_disk(tmp_path / "d")
    assert [problem.id for problem in read_problems(tmp_path / "d")] == dataset["id"][:]


def test_dataset_of_one_split(tmp_path: Path) -> None:
    datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS)).save_to_disk(tmp_path / "d")
    assert list(read_problems(tmp_path / "d")) == PROBLEMS
    assert list(read_problems(tmp_path / "d" / "train")) == PROBLEMS


def test_dataset_of_two_splits_must_be_narrowed(tmp_path: Path) -> None:
    part = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict(train=part, test=part).save_to_disk(tmp_path / "d")
    with pytest.raises(InputError, match="a dataset of 2 splits") as caught:
        list(read_problems(tmp_path / "d"))
    assert caught.value.remedy == f"name one: {tmp_path}/d/test, {tmp_path}/d/train"


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"_data_files": [{"file": 1}]}'])
def test_dataset_folder_with_a_broken_state(tmp_path: Path, state: str) -> None:
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(InputError, match=r"state\.json names no data files"):
        list(read_problems(tmp_path))


def test_dataset_folder_reads_nothing_outside_itself(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "other")
    (tmp_path / "d").mkdir()
    outside = {"_data_files": [{"filename": "../other/data-00000-of-00001.arrow"}]}
    (tmp_path / "d" / "state.json").write_text(json.dumps(outside))
    with pytest.raises(InputError, match="cannot be read at all"):
        list(read_problems(tmp_path / "d"))


def test_folder_of_shards_of_several_kinds(tmp_path: Path) -> None:
    (tmp_path / "part-0.jsonl").write_bytes(b"\n".join(LINES.split(b"\n")[:50]))
    (tmp_path / "part-1.jsonl.gz").write_bytes(gzip.compress(b"\n".join(LINES.split(b"\n")[50:100])))
    pq.write_table(pa.Table.from_pylist(ROWS[100:]), tmp_path / "part-2.parquet")
    (tmp_path / "README.md").write_text("what this is")
    (tmp_path / ".part-3.jsonl.tmp").write_text("unfinished")
    assert list(read_problems(tmp_path)) == PROBLEMS


def test_ids_are_unique_over_shards(tmp_path: Path) -> None:
    for shard in "ab":
        (tmp_path / f"{shard}.jsonl").write_bytes(LINES)
    with pytest.raises(InputError, match="an earlier problem has the id 'p0' too") as caught:
        list(read_problems(tmp_path))
    assert (caught.value.file, caught.value.row) == (str(tmp_path / "b.jsonl"), 1)


def test_reading_streams(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(LINES + b"broken")
    problems = read_problems(path)
    assert [next(problems).id for _ in range(100)] == [row["id"] for row in ROWS[:100]]


def test_importing_records_imports_no_heavy_library() -> None:
    code = "import sys, titer.records; print({'torch', 'transformers', 'pyarrow', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_csv_shards_of_a_folder_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "prompt": "1 + 1?", "answer": "2"}\n')
    (tmp_path / "b.csv").write_text("id,prompt,answer\nb,2 + 2?,4\n")
    assert [problem.id for problem in read_problems(tmp_path)] == ["a", "b"]


def test_a_csv_has_booleans_as_pandas_writes_them_and_long_cells(tmp_path: Path) -> None:
    path, long = tmp_path / "t.csv", "So it is. " * 15_000
    path.write_text(f'prompt,reasoning,response,correct,truncated\n1 + 1?,"{long}",2,True,FALSE\n2 + 2?,No.,5,false,\n')
    one, other = read_traces(path)
    assert (one.correct, one.truncated, len(one.reasoning)) == (True, False, len(long))
    assert (other.correct, other.truncated) == (False, False)
    path.write_text("prompt,response,correct\n1 + 1?,2,perhaps\n")
    with pytest.raises(InputError, match=r"row 2, field 'correct': text, not true or false"):
        list(read_traces(path))


@pytest.mark.parametrize("name", ["id", "problem_id", "unique_id", "ID"])
def test_two_problems_of_one_name_are_said_to_be_that(tmp_path: Path, name: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(f'{{"{name}": "p1", "prompt": "{asked}?", "answer": "2"}}\n' for asked in "AB"))
    with pytest.raises(InputError, match="row 2, field 'id': an earlier problem has the id 'p1' too"):
        list(read_problems(path))


def test_messages_of_a_csv_are_json(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('messages,answer\n"[{""role"": ""user"", ""content"": ""3 + 4?""}]",7\n')
    assert [problem.prompt for problem in read_problems(path)] == ["3 + 4?"]
    path.write_text("messages,answer\n3 + 4?,7\n")
    with pytest.raises(InputError, match="field 'messages': text, not a list of messages"):
        list(read_problems(path))


MIXED = [
    {
        "messages": [
            {"role": "user", "content": "3+4?"},
            {"role": "assistant", "content": [{"type": "text", "text": "7"}]},
        ]
    },
    {"messages": [{"role": "user", "content": "3+5?"}, {"role": "assistant", "content": "<think>add</think>8"}]},
    {"messages": [{"role": "user", "content": "3+6?"}, {"role": "assistant", "content": "9", "reasoning": None}]},
]


def test_fields_of_mixed_type_are_read_as_in_json_lines(tmp_path: Path) -> None:
    """datasets makes them columns of JSON text, whose quotes belong to no answer."""
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in MIXED))
    dataset = datasets.Dataset.from_list(MIXED, on_mixed_types="use_json")
    dataset.to_parquet(tmp_path / "t.parquet")
    dataset.save_to_disk(tmp_path / "d")
    wanted = list(read_traces(tmp_path / "t.jsonl"))
    assert [trace.response for trace in wanted] == ["7", "8", "9"]
    assert list(read_traces(tmp_path / "t.parquet")) == wanted == list(read_traces(tmp_path / "d"))


def test_json_columns_at_the_top_and_around_everything(tmp_path: Path) -> None:
    answers = datasets.Features({"prompt": datasets.Value("string"), "answer": datasets.Json()})
    rows = [{"prompt": "a?", "answer": "x+y"}, {"prompt": "b?", "answer": 7}, {"prompt": "c?", "answer": None}]
    datasets.Dataset.from_list(rows, features=answers).to_parquet(tmp_path / "p.parquet")
    found = [decoded(row.raw) for row in raw_rows(tmp_path / "p.parquet")]
    assert found == rows
    talks = datasets.Features({"messages": datasets.List(datasets.Json())})
    datasets.Dataset.from_list(MIXED, features=talks).to_parquet(tmp_path / "t.parquet")
    assert [decoded(row.raw) for row in raw_rows(tmp_path / "t.parquet")] == MIXED


def test_a_csv_whose_columns_share_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,problem,answer,answer\na,3+4?,7,8\n")
    with pytest.raises(InputError, match="two columns are named 'answer'"):
        list(read_problems(tmp_path / "p.csv"))


def test_a_csv_with_columns_without_a_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,prompt,answer,,\na,3+4?,7,,\n")
    assert [problem.answer for problem in read_problems(tmp_path / "p.csv")] == ["7"]
