"""The finished tables that come with titer, and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest

from titer.errors import InputError
from titer.reproduce import NAMES, stored, tables
from titer.reproduce.experiment import find
from titer.reproduce.tables import JobResult, make_table
from titer.reproduce.terminal import heat_map
from titer.reproduce.verdict import MARGIN

TABLE: dict[str, Any] = {
    "name": "branching",
    "claims": [
        {
            "claim": "a [bracket]",
            "paper": "p",
            "lab": "l",
            "interval": [None, 0.5, None],
            "seeds": 1,
            "verdict": "cannot tell",
        }
    ],
    "maps": [
        {
            "title": "ninths",
            "measure": "m",
            "row": "epochs",
            "column": "samples",
            "rows": [8, 1024],
            "columns": [1, 2],
            "means": [[1 / 9, 2 / 9], [3 / 9, 4 / 9]],
        }
    ],
    "rule": "r",
    "intervals": "i",
}


FEWEST_SEEDS = {"repetition": 3}  # 67 arms; the others have five seeds


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_table_has_the_stable_form(name: str) -> None:
    if not (tables.TABLES / f"{name}.json").exists():
        pytest.skip(f"{name} has not yet been run: there is no table to check")
    table, experiment = stored(name), find(name)
    assert [claim["claim"] for claim in table["claims"]] == [claim.claim for claim in experiment.claims]
    for claim, direction in zip(table["claims"], (one.direction for one in experiment.claims), strict=True):
        low, mid, high = claim["interval"]
        assert claim["seeds"] >= FEWEST_SEEDS.get(name, 5) and low <= mid <= high and claim["paper"] and claim["lab"]
        if direction != "not below":
            assert (claim["verdict"] == "cannot tell") == (low <= 0 <= high)
        else:
            fits = "appears" if low > -MARGIN else "cannot tell"
            assert claim["verdict"] == ("does not appear" if high < 0 else fits)
    assert [one["measure"] for one in table.get("maps", ())] == [one.measure for one in experiment.maps]
    assert set(table["arms"]) == set(experiment.arms) and set(table.get("shared", ())) == set(experiment.shared)
    assert table["settings"] == dict(experiment.settings)
    assert table["versions"]["torch"] and table["seconds"] > 0


def test_an_axis_of_which_nothing_is_graded_leaves_a_table_that_is_json() -> None:
    experiment = replace(find("recovery"), arms=("verified",), claims=find("recovery").claims[6:7], shared=())
    known = {"out_of_domain_surge": 1.0, "safety_surge": 2.0}
    results = [JobResult("verified", 0, known, 1.0, {}), JobResult("verified", 1, dict.fromkeys(known, nan), 1.0, {})]
    table = json.loads(json.dumps(make_table(experiment, results), allow_nan=False))
    assert table["claims"][0]["interval"] == [None] * 3 and table["claims"][0]["verdict"] == "cannot tell"
    assert table["arms"]["verified"]["safety_surge"] == {"mean": [None] * 3, "values": [2.0, None]}


def test_a_table_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "TABLES", tmp_path)
    with pytest.raises(InputError, match="branching has not yet been run; run: titer reproduce branching"):
        stored("branching")
    with pytest.raises(InputError, match="no reproduction '../branching'"):
        stored("../branching")


SHOWN = """
import sys
from pathlib import Path
from titer.reproduce import tables
from titer.cli import main
tables.TABLES = Path(sys.argv.pop(1))
try:
    main.main()
finally:
    assert "torch" not in sys.modules and "transformers" not in sys.modules
"""


def show(folder: Path, *options: str) -> str:
    (folder / "branching.json").write_text(json.dumps(TABLE))
    command = [sys.executable, "-c", SHOWN, str(folder), "reproduce", "branching", "--show", *options]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_show_prints_the_stored_table_without_torch(tmp_path: Path) -> None:
    assert json.loads(show(tmp_path, "--json")) == TABLE
    text = show(tmp_path)
    map_at = text.index("ninths (epochs down, samples across)")
    assert map_at < text.index("a [bracket]") and "8  0.111  0.222" in text
    assert "a [bracket]" in text and "unknown" in text and "cannot tell" in text


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["branchin"], "no reproduction 'branchin'"),
        (["branching", "--seeds", "0"], "0 for --seeds"),
        (["all", "--jobs", "-1"], "-1 for --jobs"),
        (["branching", "--scale", "large"], "no scale 'large'; use one of: lab, smollm2"),
        (["all", "--scale", "large"], "no scale 'large'; use one of: lab, smollm2"),
        (["stages", "--scale", "smollm2", "--show"], "run: titer reproduce stages --scale smollm2"),
    ],
)
def test_refusals_are_one_line(arguments: list[str], fault: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "titer.cli.main", "reproduce", *arguments, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and fault in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_map_with_an_unknown_cell_is_shown() -> None:
    known = {"title": "t", "row": "r", "column": "c", "rows": [1, 2], "columns": [3, 4]}
    for means in ([[0.1, float("nan")], [0.3, 0.4]], [[float("nan")] * 2] * 2):
        shown = heat_map({**known, "means": means})
        assert str(next(iter(shown.columns[2].cells))) == "–"
