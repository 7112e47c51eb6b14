import errno
import gzip
import json
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.errors import InputError
from titer.records import (
    Problem,
    Rollout,
    Trace,
    append_rollouts,
    read_problems,
    read_rollouts,
    read_traces,
    write_records,
)
from titer.records.writing import sync_folder

ENDINGS = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"]
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
filled = words.filter(lambda text: bool(text) and not text.isspace())
whole = st.integers(-(2**63), 2**63 - 1)
numbers = st.floats(allow_nan=False)
values = st.recursive(st.none() | st.booleans() | whole | numbers | words, lambda v: st.lists(v, max_size=2))
metas = st.dictionaries(words, values, max_size=3)
problems = st.builds(Problem, id=words, prompt=filled, answer=filled, verifier=words, domain=words, meta=metas)
traces = st.builds(
    Trace,
    **dict.fromkeys(("id", "problem_id", "reasoning", "teacher", "answer", "verifier", "domain"), words),
    prompt=filled,
    response=filled.map("</think> <think>".__add__),
    correct=st.none() | st.booleans(),
    truncated=st.booleans(),
    meta=metas,
)
rollouts = st.builds(
    Rollout,
    **dict.fromkeys(("problem_id", "model", "prompt", "reasoning", "response", "suite", "axis", "note"), words),
    sample=whole,
    finish_reason=st.sampled_from(["stop", "length", "error"]),
    tokens=whole,
    score=st.none() | numbers,
    parsed=st.none() | words,
)
ROLLOUT = Rollout(
    problem_id="a", sample=0, model="m", prompt="?", reasoning="é", response="7", finish_reason="stop", tokens=3
)
ROLLOUTS = [replace(ROLLOUT, sample=n) for n in range(5)]


def ids_differ(records: list[Any]) -> bool:
    return len({record.id for record in records}) == len(records)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("records", "read"), [(problems, read_problems), (traces, read_traces), (rollouts, read_rollouts)]
)
def test_what_is_written_reads_back_equal(
    tmp_path: Path, ending: str, records: st.SearchStrategy[Any], read: Callable[[Path], Iterator[Any]]
) -> None:
    path = tmp_path / f"records{ending}"

    @settings(max_examples=40, deadline=None)
    @given(st.lists(records, min_size=1, max_size=4).filter(ids_differ))
    def check(written: list[Any]) -> None:
        assert write_records(path, iter(written)) == len(written)
        assert list(read(path)) == written

    check()


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_records(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"records{ending}"
    assert write_records(path, []) == 0
    with pytest.raises(InputError, match="the file is empty"):
        list(read_traces(path))


def test_parquet_holds_meta_as_json_text_in_many_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "new" / "p.parquet"
    written = [Problem(id=str(n), prompt="?", answer="7", meta={"n": n}) for n in range(2500)]
    assert write_records(path, written) == 2500
    assert pq.read_table(path)["meta"][3].as_py() == '{"n": 3}'
    assert pq.ParquetFile(path).num_row_groups == 3
    assert list(read_problems(path)) == written


def test_text_files_are_readable_and_compressed_ones_reproducible(tmp_path: Path) -> None:
    write_records(tmp_path / "r.jsonl", ROLLOUTS)
    lines = (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5
    assert json.loads(lines[0])["reasoning"] == "é" and "é" in lines[0]
    write_records(tmp_path / "1.jsonl.gz", ROLLOUTS)
    write_records(tmp_path / "2.jsonl.gz", ROLLOUTS)
    assert (tmp_path / "1.jsonl.gz").read_bytes() == (tmp_path / "2.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "1.jsonl.gz").read_bytes()) == (tmp_path / "r.jsonl").read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"r{ending}"
    write_records(path, ROLLOUTS)

    def failing() -> Iterator[Rollout]:
        yield from ROLLOUTS[:2]
        raise RuntimeError("the generator died")

    with pytest.raises(RuntimeError, match="the generator died"):
        write_records(path, failing())
    assert list(read_rollouts(path)) == ROLLOUTS
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_does_not_show_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"

    def watching() -> Iterator[Rollout]:
        yield ROLLOUT
        assert not path.exists()
        yield replace(ROLLOUT, sample=1)

    assert write_records(path, watching()) == 2
    assert path.exists()


def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_records(tmp_path / "r.jsonl", ROLLOUTS)
    assert stat.S_IMODE((tmp_path / "r.jsonl").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


@pytest.mark.parametrize("ending", [".csv", ".jsonl.bz2", ""])
def test_an_unknown_ending_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(InputError, match="unknown ending"):
        write_records(tmp_path / f"r{ending}", ROLLOUTS)


@pytest.mark.parametrize("ending", ENDINGS)
def test_records_of_two_kinds_are_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(TypeError, match="Problem among records of kind Rollout"):
        write_records(tmp_path / f"r{ending}", [ROLLOUT, Problem(id="a", prompt="?", answer="7")])
    assert list(tmp_path.iterdir()) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond `size` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"r{ending}"
    write_records(path, ROLLOUTS)
    noise = (replace(ROLLOUT, sample=n, response=os.urandom(20_000).hex()) for n in range(50))
    with largest_file(100_000), pytest.raises(InputError, match="cannot be written: File too large") as caught:
        write_records(path, noise)
    assert caught.value.file == str(path)
    assert list(read_rollouts(path)) == ROLLOUTS
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_while_appending_costs_only_the_batch(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    append_rollouts(path, ROLLOUTS[:2])
    with largest_file(path.stat().st_size + 10), pytest.raises(InputError, match="cannot be written"):
        append_rollouts(path, ROLLOUTS[2:])
    assert list(read_rollouts(path, torn="drop")) == ROLLOUTS[:2]
    append_rollouts(path, ROLLOUTS[2:])
    assert list(read_rollouts(path)) == ROLLOUTS


def test_no_room_at_all(tmp_path: Path) -> None:
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        append_rollouts(tmp_path / "full.jsonl", ROLLOUTS)


def test_appending_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    assert append_rollouts(path, ROLLOUTS[:2]) == 2
    assert append_rollouts(path, iter(ROLLOUTS[2:])) == 3
    assert append_rollouts(path, []) == 0
    assert list(read_rollouts(path)) == ROLLOUTS


def test_a_file_cut_anywhere_is_taken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    append_rollouts(path, ROLLOUTS[:2])
    content = path.read_bytes()
    first = content.index(b"\n")
    for cut in [0, 1, *range(first - 4, first + 20), *range(len(content) - 4, len(content) + 1)]:
        path.write_bytes(content[:cut])
        kept = list(read_rollouts(path, torn="drop"))
        assert kept == ROLLOUTS[: len(kept)]
        append_rollouts(path, ROLLOUTS[len(kept) :])
        assert list(read_rollouts(path)) == ROLLOUTS


def test_a_torn_line_longer_than_a_block_is_cut_off_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    long = replace(ROLLOUT, sample=1, response="7" * 300_000)
    append_rollouts(path, [ROLLOUT, long])
    path.write_bytes(path.read_bytes()[:-3])
    append_rollouts(path, [long])
    assert list(read_rollouts(path)) == [ROLLOUT, long]


def test_a_torn_line_is_an_error_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    append_rollouts(path, ROLLOUTS[:2])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="broken JSON") as caught:
        list(read_rollouts(path))
    assert caught.value.row == 2


def test_only_the_last_line_may_be_torn(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"problem_id": "a"\n')
    with pytest.raises(InputError, match="broken JSON"):
        list(read_rollouts(path, torn="drop"))


def test_a_folder_that_cannot_be_synced_holds_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    def unable(_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    for name, fault in (("open", refused), ("fsync", unable)):
        with monkeypatch.context() as patched:
            patched.setattr(f"titer.records.writing.os.{name}", fault)
            sync_folder(tmp_path)
    with monkeypatch.context() as patched, pytest.raises(OSError, match="error"):
        patched.setattr("titer.records.writing.os.fsync", lambda _: (_ for _ in ()).throw(OSError(5, "I/O error")))
        sync_folder(tmp_path)
