"""A run directory at an address: stages appear there when they are finished, and another machine goes on from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from titer.errors import InputError
from titer.store import Mirror, Run, fetched


@pytest.fixture(params=["memory", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield "memory://bucket/first" if request.param == "memory" else f"file://{tmp_path}/there/first"
    fsspec.filesystem("memory").store.clear()


def on_machine(name: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TITER_CACHE", str(tmp_path / name))
    return Run.open(address, name="first", recipe_text="model: lab\n")


def build(text: str) -> object:
    def fill(work: Path) -> None:
        (work / "checkpoints").mkdir(exist_ok=True)
        (work / "checkpoints" / "weights").write_text(text)

    return fill


def never(_: Path) -> None:
    raise AssertionError("built again")


def no_route(*_: object) -> None:
    """A network that fails."""
    raise ConnectionError("no route")


def test_another_machine_goes_on_from_what_one_has_finished(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = on_machine("one", address, tmp_path, monkeypatch)
    one.stage("data", {"seed": 0}, build("a"))  # type: ignore[arg-type]
    one.stage("train", {"seed": 0}, build("b"))  # type: ignore[arg-type]
    two = on_machine("two", address, tmp_path, monkeypatch)
    assert two.path != one.path
    folder = two.stage("train", {"seed": 0}, never)
    assert (folder / "checkpoints" / "weights").read_text() == "b"
    # what it makes anew replaces the old, of which nothing stays there
    two.stage("train", {"seed": 1}, build("c"))  # type: ignore[arg-type]
    system, root = fsspec.core.url_to_fs(address)
    assert len(system.ls(f"{root}/train")) == 1
    three = on_machine("three", address, tmp_path, monkeypatch)
    assert (three.path / "train" / "checkpoints" / "weights").read_text() == "c"
    assert three.manifest["stages"].keys() == {"data", "train"}
    three.leave_out("train")
    four = on_machine("four", address, tmp_path, monkeypatch)
    assert four.manifest["stages"].keys() == {"data"} and not (four.path / "train").exists()
    # with nothing finished there, what stands beside the stages is no foreign folder
    assert four.mirror
    four.mirror.commit_beside()
    four.leave_out("data")
    assert on_machine("five", address, tmp_path, monkeypatch).manifest["stages"] == {}


def test_a_stage_half_put_there_is_no_stage(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = on_machine("one", address, tmp_path, monkeypatch)
    one.stage("data", {"seed": 0}, build("a"))  # type: ignore[arg-type]

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Mirror, "_put", dies)
        one.stage("train", {"seed": 0}, build("b"))  # type: ignore[arg-type]
    two = on_machine("two", address, tmp_path, monkeypatch)
    assert two.manifest["stages"].keys() == {"data"} and not (two.path / "train").exists()
    # the one that was cut off has the stage, and puts it there when it goes on
    on_machine("one", address, tmp_path, monkeypatch).stage("train", {"seed": 0}, never)
    assert "train" in on_machine("two", address, tmp_path, monkeypatch).manifest["stages"]


def test_what_others_have_finished_meanwhile_stays(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = on_machine("one", address, tmp_path, monkeypatch)
    one.stage("data", {"seed": 0}, build("a"))  # type: ignore[arg-type]
    two = on_machine("two", address, tmp_path, monkeypatch)
    one.stage("train", {"seed": 0}, build("b"))  # type: ignore[arg-type]
    two.stage("evaluate", {"seed": 0}, build("c"))  # type: ignore[arg-type]
    system, root = fsspec.core.url_to_fs(address)
    assert json.loads(system.cat_file(f"{root}/manifest.json"))["stages"].keys() == {"data", "train", "evaluate"}


def test_refusals_name_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TITER_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"nosuch://bucket/run: .*nosuch"):
        Run.open("nosuch://bucket/run", name="first", recipe_text="")

    def forbidden(*_: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(Mirror, "_manifest", forbidden)
    with pytest.raises(InputError, match=r"memory://b/run allows no access: Access Denied.*credentials"):
        Run.open("memory://b/run", name="first", recipe_text="")


def test_what_another_machine_has_left_out_goes_here_too(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = on_machine("one", address, tmp_path, monkeypatch)
    for stage in ("data", "measure"):
        one.stage(stage, {"seed": 0}, build("a"))  # type: ignore[arg-type]
    on_machine("two", address, tmp_path, monkeypatch).leave_out("measure")

    with monkeypatch.context() as patched, pytest.raises(InputError, match="no route"):
        patched.setattr(Mirror, "_put", no_route)
        one.stage("curate", {"seed": 0}, build("b"))  # type: ignore[arg-type]
    again = on_machine("one", address, tmp_path, monkeypatch)
    assert again.manifest["stages"].keys() == {"data", "curate"} and not (again.path / "measure").exists()
    assert (again.path / "curate").exists()  # it has not stood there yet


def test_what_was_left_out_and_made_again_with_the_same_inputs_is_not_taken_for_what_others_left_out(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = on_machine("one", address, tmp_path, monkeypatch)
    for stage in ("data", "train"):
        one.stage(stage, {"seed": 0}, build("a"))  # type: ignore[arg-type]
    one.leave_out("train")
    with monkeypatch.context() as patched, pytest.raises(InputError, match="no route"):
        patched.setattr(Mirror, "_put", no_route)
        one.stage("train", {"seed": 0}, build("a"))  # type: ignore[arg-type]
    again = on_machine("one", address, tmp_path, monkeypatch)
    assert (again.stage("train", {"seed": 0}, never) / "checkpoints" / "weights").read_text() == "a"


def test_what_could_not_be_put_there_is_not_overwritten_by_what_is(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made anew with other settings, and the network failed: the same command must put it there, not fetch the old."""
    one = on_machine("one", address, tmp_path, monkeypatch)
    one.stage("train", {"seed": 0}, build("old"))  # type: ignore[arg-type]

    with monkeypatch.context() as patched, pytest.raises(InputError, match="no route.*the same command goes on"):
        patched.setattr(Mirror, "_put", no_route)
        one.stage("train", {"seed": 1}, build("new"))  # type: ignore[arg-type]
    again = on_machine("one", address, tmp_path, monkeypatch)
    folder = again.stage("train", {"seed": 1}, never)
    assert (folder / "checkpoints" / "weights").read_text() == "new"
    two = on_machine("two", address, tmp_path, monkeypatch)
    assert (two.path / "train" / "checkpoints" / "weights").read_text() == "new"
    # what others have put there since does take the place of what had been there
    two.stage("train", {"seed": 2}, build("theirs"))  # type: ignore[arg-type]
    third = on_machine("one", address, tmp_path, monkeypatch)
    assert (third.path / "train" / "checkpoints" / "weights").read_text() == "theirs"


def test_what_another_machine_has_made_meanwhile_is_fetched_and_not_made_again(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A could not put its stage there; B has finished the run with other settings; A takes these up."""

    one = on_machine("one", address, tmp_path, monkeypatch)
    one.stage("curate", {"seed": 1}, build("a"))  # type: ignore[arg-type]
    with monkeypatch.context() as patched, pytest.raises(InputError, match="no route"):
        patched.setattr(Mirror, "_put", no_route)
        one.stage("train", {"seed": 1}, build("A's"))  # type: ignore[arg-type]
    two = on_machine("two", address, tmp_path, monkeypatch)
    for stage in ("curate", "train"):
        two.stage(stage, {"seed": 2}, build("B's"))  # type: ignore[arg-type]
    monkeypatch.setenv("TITER_CACHE", str(tmp_path / "one"))
    with pytest.raises(InputError, match="train was made on this machine and has not been put there"):
        fetched(address, reading=True)
    again = on_machine("one", address, tmp_path, monkeypatch)
    for stage in ("curate", "train"):
        folder = again.stage(stage, {"seed": 2}, never)
        assert (folder / "checkpoints" / "weights").read_text() == "B's"
    assert fetched(address, reading=True)[0] == again.path


def test_a_folder_from_before_what_was_put_there_was_noted(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = on_machine("one", address, tmp_path, monkeypatch)
    for stage in ("curate", "train"):
        one.stage(stage, {"seed": 1}, build("old"))  # type: ignore[arg-type]
    (one.path / "there.json").unlink()
    two = on_machine("two", address, tmp_path, monkeypatch)
    for stage in ("curate", "train"):
        two.stage(stage, {"seed": 2}, build("new"))  # type: ignore[arg-type]
    again = on_machine("one", address, tmp_path, monkeypatch)
    for stage in ("curate", "train"):
        assert (again.path / stage / "checkpoints" / "weights").read_text() == "new"
