"""What CONTRIBUTING.md says is enough to add one of a kind: added to a copy of the tree, and used as a user would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from titer.records import Problem, Trace, read_rollouts, read_traces, write_records

TREE = Path(__file__).parents[2]
BLOCK = re.compile(r"```(?:python|yaml)\n# (?P<file>\S+\.(?:py|yaml))(?:: (?P<place>\w+))?\n(?P<text>.*?)```", re.S)


class Block(NamedTuple):
    """A block of the page: where it goes, and what."""

    file: str
    place: str | None
    text: str


def blocks() -> list[Block]:
    return [Block(*found.groups()) for found in BLOCK.finditer((TREE / "CONTRIBUTING.md").read_text())]


def added(block: Block, text: str) -> str:
    """A file's text with a block: before the file's table where it has one of the page's, else at the end."""
    if block.place == "import":
        after = next(line for line in re.findall(r"^from titer.*\n", text, re.M) if line > block.text)
        return text.replace(after, block.text + after)
    if block.place:
        assert len(block.text.splitlines()) == 1, "one line of a table"
        table = re.search(rf"^{block.place}\b.*\n", text, re.M)
        assert table
        if block.text.startswith(block.place):  # the line itself, with more in it
            return text.replace(table.group(), block.text)
        return text.replace(table.group(), table.group() + block.text)
    tables = [
        re.search(rf"^{other.place}\b", text, re.M) for other in blocks() if other.place and other.file == block.file
    ]
    end = min((found.start() for found in tables if found), default=len(text))
    return "\n\n\n".join(part.strip() for part in (text[:end], block.text, text[end:]) if part) + "\n"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `src` with every block of the page in it."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copytree(TREE / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for block in blocks():
        path = copy / block.file
        path.write_text(added(block, path.read_text()) if path.exists() else block.text)
    return copy


def titer(tree: Path, *arguments: object) -> dict[str, object]:
    command = [sys.executable, "-m", "titer.cli.main", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone(tree), cwd=tree)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def alone(tree: Path) -> dict[str, str]:
    """An environment in which titer is that of the tree."""
    return {**os.environ, "PYTHONPATH": str(tree / "src"), "HF_HUB_OFFLINE": "1"}


def test_every_kind_is_shown() -> None:
    names = {path.name: place for path, place in ((Path(block.file), block.place) for block in blocks()) if place}
    assert names == {"spec.py": "_PLAIN", "table.py": "import", "features.py": "_FEATURES", "block.py": "Axis"}


def test_the_files_are_as_they_should_be(tree: Path) -> None:
    ruff = [sys.executable, "-m", "ruff", "--config", str(TREE / "pyproject.toml")]
    files = sorted({block.file for block in blocks() if block.file.endswith(".py")})
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [*ruff[:3], *check, *ruff[3:], *files], capture_output=True, text=True, cwd=tree, check=False
        )
        assert done.returncode == 0, done.stdout


def test_a_feature_is_filtered_by(tree: Path) -> None:
    traces = [
        Trace(id=name, problem_id=name, prompt=f"{name}?", reasoning=text, response="It is 4.")
        for name, text in (("asks", "Is it 3? Is it 4?"), ("tells", "It is 4 since 2 + 2 = 4."))
    ]
    write_records(tree / "two.jsonl", traces)
    titer(tree, "traces", "filter", "two.jsonl", "--by", "question_share", "--keep", 0.5, "--out", "kept")
    assert [trace.id for trace in read_traces(tree / "kept" / "kept.jsonl")] == ["tells"]


def test_an_objective_a_verifier_and_an_axis_in_a_run(tree: Path) -> None:
    (recipe,) = (block.text for block in blocks() if block.file == "recipe.yaml")
    ((name, suite),) = yaml.safe_load(recipe)["data"]["suites"].items()
    problems = [
        Problem(id=f"p{number}", prompt=f"About {number}?", answer=f"{number}", verifier="nearly")
        for number in (0, 400)
    ]
    write_records(tree / suite["problems"], problems)
    settings = [
        *("model=lab", "data.lab={problems: {countdown3: 12}, suites: {countdown3: 2}}", "measure.problems=0"),
        *("curate.by=question_share", "train.objective=brier@p>=0.1", "train.updates=1", "train.batch_size=4"),
        *("train.probe_samples=2", "evaluate.samples=1", "evaluate.max_tokens=8"),
    ]
    summary = titer(tree, "run", "recipe.yaml", *settings, "--out", "run")
    assert summary[suite["axis"]]["problems"] == 2  # type: ignore[index]
    rollouts = [
        rollout for rollout in read_rollouts(tree / "run" / "evaluate" / "rollouts.parquet") if rollout.suite == name
    ]
    assert len(rollouts) == 4 and all(rollout.score is not None for rollout in rollouts)
    grades = subprocess.run([sys.executable, "-c", GRADES], capture_output=True, text=True, check=True, env=alone(tree))
    assert grades.stdout.split() == ["1.0", "0.0", "0.0", "None"]
    assert json.loads((tree / "run" / "train" / "objective.json").read_text())["objective"] == "brier@p>=0.1"


GRADES = """
from titer.records import Problem
from titer.verify import check
gold = Problem(id="p", prompt="About 400?", answer="400", verifier="nearly")
print(*(check(gold, response).score for response in ("It is 397.", "It is 500.", "?")))
print(check(Problem(id="p", prompt="?", answer="many", verifier="nearly"), "3").score)
"""
