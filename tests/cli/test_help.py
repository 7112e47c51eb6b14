"""What a verb's help says of its settings."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from titer.cli.settings import _settings
from titer.recipe import load_recipe, parse_block, parse_sampled

BLOCKS = {
    **{"sft": "train", "measure": "measure", "eval": "evaluate", "route": "route", "bridge": "bridge"},
    **{"rl": "rl", "critique": "critique"},
}


@pytest.mark.parametrize("verb", BLOCKS)
def test_help_names_every_setting_as_it_is_typed(verb: str) -> None:
    command = [sys.executable, "-m", "titer.cli.main", verb, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={"COLUMNS": "4000"}).stdout
    (line,) = re.findall(r"Settings and their defaults: (.*)\. titer\.recipe", shown)
    settings = re.findall(r"[\w.]+=(?:\[[^]]*\]|\{[^}]*\}|[^,]*)", line)
    assert settings and "launch=" not in line
    if any(one.startswith("generate.") for one in settings):
        block, _ = parse_sampled(BLOCKS[verb], settings)
    else:
        block = parse_block(BLOCKS[verb], settings)
    assert block == getattr(load_recipe("quickstart"), BLOCKS[verb]).__class__()


def test_a_block_inside_a_block_is_named_alone() -> None:
    assert "ray" in _settings("generate")
