"""Two calls never work in one folder."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from titer import verbs
from titer.errors import InputError
from titer.pipeline.alone import locked
from titer.recipe import load_recipe
from titer.reproduce.engine import reproduce
from titer.store import Run
from titer.store.layout import LOCK


def holding(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds a folder until it is killed."""
    code = f"""
import time
from titer.pipeline.alone import locked
with locked({str(folder)!r}):
    print("held", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def test_a_second_call_in_a_folder_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    other = holding(tmp_path / "run")
    with (
        pytest.raises(InputError, match="run: another titer works here; wait until it has ended"),
        locked(tmp_path / "run"),
    ):
        pass
    other.kill()
    other.wait()
    assert (tmp_path / "run" / LOCK).exists()  # of the killed one: it is no other's folder
    with locked(tmp_path / "run"):
        Run.open(tmp_path / "run", name="n", recipe_text="")
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["manifest.json", "recipe.yaml"]


def test_a_folder_that_was_made_to_be_held_goes_again(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="refused"), locked(tmp_path / "a" / "b"):
        raise InputError("refused", remedy="give another")
    assert not (tmp_path / "a").exists()


def test_other_processes_of_a_launch_hold_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path):
        monkeypatch.setenv("RANK", "1")
        with locked(tmp_path):
            pass
        assert (tmp_path / LOCK).exists()


@pytest.mark.parametrize("without", ["flock", "folder"])
def test_where_nothing_can_be_locked_the_call_goes_on(
    without: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / "file").write_text("")
    with locked(tmp_path / ("file" if without == "folder" else "run")):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_place_where_nothing_can_be_made_is_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with locked("runs/x"):
        pass


def test_verbs_hold_their_folder(tmp_path: Path) -> None:
    def call(verb: Callable[..., object], *args: str) -> None:
        with pytest.raises(InputError, match="another titer works here"):
            verb(*args, out=tmp_path)

    with locked(tmp_path):
        call(verbs.measure, "lab", "p.jsonl")
        call(verbs.eval, "lab", {"s": "p.jsonl"})  # type: ignore[arg-type]
        call(verbs.sft, "lab", "t.jsonl")
        call(verbs.rl, "lab", "p.jsonl")
        call(verbs.bridge, "lab", "t.jsonl", "p.jsonl")
        call(verbs.critique, "lab", "f.jsonl", "p.jsonl")
        call(verbs.run, load_recipe("quickstart"))  # type: ignore[arg-type]
        call(reproduce, "continuum")
