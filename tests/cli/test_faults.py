"""A disk that is full, a path that cannot be written, Ctrl-C: what `main` makes of them."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from titer import verbs
from titer.cli import main as cli
from titer.cli.faults import system_fault

SPACE = OSError(errno.ENOSPC, "No space left on device", "runs/x/log.jsonl")
ARROW = OSError(errno.ENOSPC, "Error writing bytes to file. Detail: [errno 28] No space left on device")
SAFETENSORS = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
TORCH = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")


def raised_from(cause: BaseException) -> Exception:
    try:
        raise RuntimeError("could not save") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("error", [SPACE, ARROW, SAFETENSORS, TORCH, raised_from(SAFETENSORS), raised_from(ARROW)])
def test_a_full_disk_by_every_name(error: Exception) -> None:
    line = system_fault(error)
    assert line and "space" in line and "\n" not in line


@pytest.mark.parametrize(
    "error",
    [RuntimeError("unexpected pos"), ValueError("x"), OSError(errno.EIO, "I/O"), FileNotFoundError(2, "x", "y")],
)
def test_other_errors_stay_errors(error: Exception) -> None:
    assert system_fault(error) is None


def test_a_folder_that_may_not_be_written_is_named() -> None:
    line = system_fault(PermissionError(errno.EACCES, "Permission denied", "/root/x"))
    assert line and line.startswith("/root/x: permission denied")
    line = system_fault(OSError(errno.ENAMETOOLONG, "File name too long", "/x"))
    assert line and line.startswith("/x: file name too long")


def exit_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["titer", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code


def test_a_checkpoint_that_does_not_fit_is_one_line(
    lab_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise SAFETENSORS

    monkeypatch.setattr("titer.train.loop.save_checkpoint", full)
    sft = ("sft", "lab", str(lab_files / "traces.jsonl"), "updates=1", "batch_size=2", "probe_samples=0")
    assert exit_of(monkeypatch, *sft, "--out", str(tmp_path / "s")) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("titer: ")]
    assert lines == ["titer: disk: no space left; free some and run the same command again, it goes on"]


def own_mounts() -> bool:
    """Whether this user may mount a file system that nobody else sees."""
    probe = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m t /mnt"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not own_mounts(), reason="may not mount a small disk of its own")
@pytest.mark.parametrize(("size", "saved_every"), [("2m", "3600"), ("24m", "0.001")])
def test_a_disk_that_is_really_full_is_one_line(size: str, saved_every: str, lab_files: Path, tmp_path: Path) -> None:
    """2 MB are too few for the weights; 24 MB take the weights but not the optimizer's state beside them."""
    disk = tmp_path / "disk"
    disk.mkdir()
    call = (
        f"mount -t tmpfs -o size={size} t {disk} && exec {sys.executable} -m titer.cli.main sft lab "
        f"{lab_files / 'traces.jsonl'} updates=9 batch_size=2 probe_samples=0 save_seconds={saved_every} "
        f"--out {disk / 's'}"
    )
    done = subprocess.run(["unshare", "-rm", "sh", "-c", call], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("titer: ")]
    assert done.returncode == 2 and len(lines) == 1 and "space" in lines[0], done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verbs, "report", interrupted)
    assert exit_of(monkeypatch, "report", "run") == 130


def test_what_is_our_fault_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(verbs, "report", broken)
    monkeypatch.setattr(sys, "argv", ["titer", "report", "run"])
    with pytest.raises(ZeroDivisionError):
        cli.main()
