from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from titer.errors import InputError
from titer.store import (
    Run,
    append_line,
    content_hash,
    file_hash,
    publish,
    read_lines,
    read_manifest,
    read_table,
    write_json,
    write_table,
    write_text,
)


@pytest.mark.parametrize("text", ["é ∀", "half \ud800", "the other \udfff half"])
def test_json_is_written_whatever_stands_in_it(text: str, tmp_path: Path) -> None:
    write_json(tmp_path / "one.json", {text: [text]})
    append_line(tmp_path / "lines.jsonl", text)
    assert json.loads((tmp_path / "one.json").read_bytes()) == {text: [text]}
    assert json.loads((tmp_path / "lines.jsonl").read_bytes()) == text
    assert ("∀" in (tmp_path / "one.json").read_text("utf-8")) == ("∀" in text)  # readable where it can be
    assert content_hash(text) != content_hash("")


def open_run(path: Path) -> Run:
    return Run.open(path, name="test", recipe_text="model: lab\n")


def test_a_stage_with_the_same_inputs_is_not_run_again(tmp_path: Path) -> None:
    run, calls = open_run(tmp_path / "run"), []

    def build(work: Path) -> None:
        calls.append(work)
        (work / "out.txt").write_text(str(len(calls)))

    for _ in range(2):
        folder = run.stage("measure", {"a": 1, "b": [2]}, build)
    assert len(calls) == 1 and (folder / "out.txt").read_text() == "1"
    run.stage("measure", {"a": 2, "b": [2]}, build)
    assert len(calls) == 2 and (folder / "out.txt").read_text() == "2"
    assert run.manifest["stages"]["measure"]["inputs"] == {"a": 2, "b": [2]}


def test_an_interrupted_stage_goes_on_in_its_folder_and_publishes_nothing_before(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")

    def breaks(work: Path) -> None:
        (work / "half.txt").write_text("half")
        raise RuntimeError

    def finishes(work: Path) -> None:
        assert (work / "half.txt").read_text() == "half"

    with pytest.raises(RuntimeError):
        run.stage("train", {"x": 1}, breaks)
    assert not (run.path / "train").exists() and "train" not in run.manifest["stages"]
    run.stage("train", {"x": 1}, finishes)
    assert (run.path / "train" / "half.txt").exists()
    run.sweep()
    assert not (run.path / "work").exists()


def test_killed_between_publishing_and_recording_the_folder_says_what_it_is(tmp_path: Path) -> None:
    run, calls = open_run(tmp_path / "run"), list[str]()

    def ask(x: str) -> str:
        def build(work: Path) -> None:
            calls.append(x)
            (work / "content").write_text(x)

        return (run.stage("data", {"x": x}, build) / "content").read_text()

    ask("a")
    after_a = run.manifest
    ask("b")
    write_json(run.path / "manifest.json", after_a)  # as if killed before b was recorded
    assert ask("b") == "b" and calls == ["a", "b"]
    write_json(run.path / "manifest.json", after_a)
    assert ask("a") == "a" and calls == ["a", "b", "a"]


def test_a_stage_that_is_left_out_leaves_nothing(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    run.stage("measure", {}, lambda work: None)
    run.leave_out("measure")
    assert not (run.path / "measure").exists() and "measure" not in run.manifest["stages"]
    run.leave_out("measure")
    (run.path / "measure").write_text("a file of the user's")
    run.leave_out("measure")
    assert (run.path / "measure").read_text() == "a file of the user's"


def test_half_of_a_stage_that_was_being_left_out_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(tmp_path / "run")

    def build(work: Path) -> None:
        for name in ("a", "b"):
            (work / name).write_text(name)

    def killed(folder: Path, **_: object) -> None:
        (folder / "a").unlink()
        raise KeyboardInterrupt

    run.stage("measure", {}, build)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("shutil.rmtree", killed)
        run.leave_out("measure")
    assert sorted(path.name for path in run.stage("measure", {}, build).iterdir()) == ["a", "b", "stage.json"]


def test_what_is_spent_stays_until_the_stage_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, there = open_run(tmp_path / "run"), []

    def build(work: Path) -> None:
        there.append((work / "lines.jsonl").exists())
        (work / "lines.jsonl").write_text("1")
        (work / "arm").mkdir(exist_ok=True)
        (work / "table").write_text("1")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for place in ("publish", "Run._finish"):  # before it has its name, and after
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(f"titer.store.run.{place}", interrupted)
            run.stage("judge", {}, build, spent=["lines.jsonl", "arm"])
    folder = run.stage("judge", {}, build, spent=["lines.jsonl", "arm"])
    assert there == [False, True] and {path.name for path in folder.iterdir()} == {"table", "stage.json"}


def test_refuses_a_folder_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not a run directory, and not empty"):
        open_run(tmp_path)
    with pytest.raises(InputError, match=r"no manifest\.json"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="is not as titer writes it"):
        read_manifest(tmp_path)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a.txt", "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_publish_replaces_a_folder(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    publish(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "new"]


def test_a_column_that_the_first_row_lacks_is_kept(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", [{"a": 1}, {"a": 2, "b": 0.5}])
    assert read_table(tmp_path / "t.parquet") == [{"a": 1, "b": None}, {"a": 2, "b": 0.5}]


def test_tables_keep_their_rows(tmp_path: Path) -> None:
    rows = [{"step": 0, "loss": 1.5, "note": None}, {"step": 1, "loss": 0.5, "note": "ü"}]
    write_table(tmp_path / "t.parquet", rows)
    assert read_table(tmp_path / "t.parquet") == rows
    with pytest.raises(InputError, match="no such table"):
        read_table(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_text("nothing")
    with pytest.raises(InputError, match="not a Parquet table"):
        read_table(tmp_path / "bad.parquet")


def test_hashes_see_content_and_nothing_else(tmp_path: Path) -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1}) != content_hash({"a": 1, "b": 3})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("same")
    assert file_hash(tmp_path / "one") == file_hash(tmp_path / "two")
    (tmp_path / "two" / "f").write_text("other")
    assert file_hash(tmp_path / "one") != file_hash(tmp_path / "two")
    with pytest.raises(InputError, match="no such file"):
        file_hash(tmp_path / "three")


def test_a_clock_that_is_set_back_changes_no_duration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, hours = open_run(tmp_path / "run"), iter(range(1_000_000, 0, -3600))
    monkeypatch.setattr("time.time", lambda: float(next(hours)))
    run.stage("data", {"x": 1}, lambda work: (work / "content").write_text("a") and None)
    assert 0 <= run.manifest["stages"]["data"]["seconds"] < 60
    assert (run.stage("data", {"x": 1}, lambda work: pytest.fail("run again")) / "content").read_text() == "a"


def test_a_lost_manifest_is_written_again_from_the_stages(tmp_path: Path) -> None:
    run, calls = open_run(tmp_path / "run"), list[int]()

    def ask() -> None:
        open_run(run.path).stage("data", {"x": 1}, lambda work: calls.append(1))

    ask()
    before = read_manifest(run.path)
    (run.path / "manifest.json").unlink()
    ask()
    assert read_manifest(run.path) == before and calls == [1]
    (run.path / "manifest.json").unlink()
    (run.path / "data" / "stage.json").unlink()
    with pytest.raises(InputError, match="not a run directory, and not empty"):
        open_run(run.path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": "n", "stages": {"data": 7}}', "[" * 100_000])
def test_a_broken_manifest_or_stage_is_one_line(tmp_path: Path, text: str) -> None:
    run = open_run(tmp_path / "run")
    folder = run.stage("data", {"x": 1}, lambda work: None)
    (folder / "stage.json").write_text("[" if text.endswith("}") else text)
    with pytest.raises(InputError, match="stage.json: .* as titer writes it .*the stage is run again") as caught:
        run.stage("data", {"x": 1}, lambda work: None)
    (run.path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="manifest.json: .* as titer writes it") as other:
        read_manifest(run.path)
    assert "\n" not in str(caught.value) + str(other.value)


@pytest.mark.parametrize("damage", ["half", "turned", "empty", "text"])
def test_a_damaged_table_is_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, [{"a": "x" * n, "b": n} for n in range(200)])
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 4, len(data) - 200, 7):
        data[place] ^= 0xFF
    path.write_bytes({"half": data[: len(data) // 2], "turned": data, "empty": b"", "text": b"PAR1PAR1"}[damage])
    with pytest.raises(InputError, match="not a Parquet table: .*its stage is run again") as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


def test_the_run_of_another_model_is_not_replaced(tmp_path: Path) -> None:
    Run.open(tmp_path / "run", name="r", recipe_text="", model="other")  # it failed before anything was made
    run = Run.open(tmp_path / "run", name="r", recipe_text="", model="one")
    run.stage("data", {}, lambda work: (work / "x").write_text("x") and None)
    assert Run.open(tmp_path / "run", name="r", recipe_text="", model="one").manifest["stages"]
    with pytest.raises(InputError, match="holds a run of the model one; give another --out"):
        Run.open(tmp_path / "run", name="r", recipe_text="", model="other")


def test_publish_takes_nothing_away_for_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    with pytest.raises(FileNotFoundError):
        publish(tmp_path / "work", tmp_path / "final")
    assert (tmp_path / "final").is_dir()


def test_a_torn_last_line_is_left_out_and_any_other_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    for row in ({"step": 1}, {"step": 2, "said": "é"}):
        append_line(file, row)
    whole = file.read_bytes()
    assert read_lines(file) == [{"step": 1}, {"step": 2, "said": "é"}]
    for cut in range(len(whole) - 2, len(whole) - 22, -1):
        file.write_bytes(whole[:cut])
        assert read_lines(file) == [{"step": 1}]
    file.write_bytes(whole[:-1])
    assert len(read_lines(file)) == 2  # whole, but for its newline
    for broken in (b"{\n", b"[1]\n", b"\xff\n"):
        file.write_bytes(broken + whole)
        with pytest.raises(InputError, match="is not as titer writes it.*begin anew"):
            read_lines(file, remedy="begin anew")


def test_an_interrupted_write_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a.txt", "new")
    assert not list(tmp_path.iterdir())
