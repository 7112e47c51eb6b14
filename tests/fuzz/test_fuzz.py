"""A short, seeded part of what `run_fuzz.py` does for as long as one likes, and what it has found."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from fuzz_targets import TARGETS, Target
from run_fuzz import inputs

from titer.errors import InputError
from titer.judges.asking import _open_cache
from titer.objectives import objective
from titer.records import Problem
from titer.rollouts.claim import claim_problems
from titer.verify import validate_problem

SLOW = {"answers, math", "meta of problems"}  # of which one input costs more than all of another's


@pytest.mark.parametrize("target", [one for one in TARGETS if one.name not in SLOW], ids=lambda one: one.name)
def test_damaged_input_is_read_or_refused_in_one_line(target: Target, tmp_path: Path) -> None:
    refused = 0
    for data in islice(inputs(target, random.Random(7)), 25):
        try:
            target.read(data, tmp_path)
        except InputError as error:
            refused += 1
            assert error.remedy and "\n" not in str(error)
    texts = {"answers", "gold answers", "steps", "thinking", "verdicts of a judge"}
    assert refused or target.name in texts


def test_a_long_row_of_digits_is_no_objective_and_takes_no_time() -> None:
    with pytest.raises(InputError, match="cannot read '999"):
        objective("9" * 100_000 + "g")


def test_a_cached_verdict_beyond_measure_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cache.jsonl"
    path.write_text('{"key": ' * 100_000 + "\n")
    with pytest.raises(InputError, match="row 1: no verdict of a judge"):
        _open_cache(path)


@pytest.mark.parametrize("made", ["[]", "7", "{", '{"problems": "a hash of all"}'])
def test_rollouts_of_which_nobody_can_tell_what_made_them_are_refused(tmp_path: Path, made: str) -> None:
    (tmp_path / "r.jsonl").write_text("{}\n")
    (tmp_path / "r.made.json").write_text(made)
    with pytest.raises(InputError, match="r.made.json: is not as titer writes it|holds rollouts made otherwise"):
        claim_problems(tmp_path / "r.jsonl", {"model": "m"}, {"a": "h"})


@pytest.mark.parametrize("name", [{}, [], 7, None])
def test_an_instruction_that_is_no_name_is_one_line(name: object) -> None:
    problem = Problem(id="i", prompt="?", answer="follow", verifier="ifeval")
    with pytest.raises(InputError, match="no instruction"):
        validate_problem(replace(problem, meta={"instruction_id_list": [name], "kwargs": [{}]}))
