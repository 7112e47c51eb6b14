"""What verbs print for people."""

from __future__ import annotations

import sys

import pytest

from titer.cli.printing import print_pairs

PAIRS = {"disk": "86 GB free", "training_takes": "1.2 GB (weights 0.3 GB, gradients 0.3 GB, optimizer 0.6 GB)"}


def test_long_values_go_on_below_themselves_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_pairs(PAIRS)
    assert capsys.readouterr().out.splitlines() == [
        "disk            86 GB free",
        "training takes  1.2 GB (weights 0.3 GB, gradients",
        "                0.3 GB, optimizer 0.6 GB)",
    ]


def test_what_programs_read_is_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs({**PAIRS, "nothing": ""})
    assert len(capsys.readouterr().out.splitlines()) == 3
