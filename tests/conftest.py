"""What the tests of several rooms share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# how long an example takes says what else the machine does
settings.register_profile("titer", deadline=None)
settings.load_profile("titer")


@pytest.fixture(autouse=True)
def unraisable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed command is the last thing that a process does; here others follow, and are heard again."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)


@pytest.fixture(scope="session")
def lab_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the lab's problems, traces and suites as files."""
    from titer.lab import make

    folder = tmp_path_factory.mktemp("lab")
    make(folder, problems=24, evaluation=6, seed=3)
    return folder
