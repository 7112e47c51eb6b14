"""The command line as a user types it: output, JSON, exit codes, one-line errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from titer.records import Rollout, write_records


def titer(*arguments: str | Path, check: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "titer.cli.main", *map(str, arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == check, done.stdout + done.stderr
    return done


def refused(*arguments: str | Path) -> str:
    """The one line of a refusal."""
    done = titer(*arguments, check=2)
    lines = [line for line in done.stderr.splitlines() if line.startswith("titer: ")]
    assert len(lines) == 1 and "Traceback" not in done.stderr and done.stdout == ""
    return lines[0]


VERBS = ["run", "report", "sft", "measure", "eval", "lab build", "lab make"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_and_json(verb: str) -> None:
    text = titer(*verb.split(), "--help").stdout
    assert f"titer {verb}" in text and "Example" in text and "--json" in text


HELP = """
import sys
from titer.cli import main

sys.argv = ["titer", "--help"]
try:
    main.main()
except SystemExit:
    pass
heavy = {"torch", "transformers", "pyarrow", "numpy", "pydantic", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_needs_no_torch() -> None:
    subprocess.run([sys.executable, "-c", HELP], check=True, capture_output=True)


def test_sft_eval_and_measure_work_one_by_one_on_ordinary_files(lab_files: Path, tmp_path: Path) -> None:
    traces, suite = lab_files / "traces.jsonl", lab_files / "countdown3.jsonl"
    shown = titer("sft", "lab", traces, "--show").stdout
    assert "We·need" in shown

    trained = json.loads(
        titer(
            "sft", "lab", traces, "updates=3", "batch_size=8", "probe_samples=5", "--out", tmp_path / "sft", "--json"
        ).stdout
    )
    assert trained["updates"] == 3 and trained["traces"] == 48 and 0 < trained["token_accuracy"] < 1
    assert (Path(trained["checkpoint"]) / "model.safetensors").exists()

    before = json.loads(
        titer("eval", "lab", suite, "--set", "samples=2", "--out", tmp_path / "before", "--json").stdout
    )
    assert before["suites"][0]["suite"] == "countdown3" and before["suites"][0]["samples"] == 12
    after = json.loads(
        titer(
            "eval", trained["checkpoint"], suite, "--set", "samples=2", "--set", "max_tokens=64",
            "--out", tmp_path / "after", "--against", tmp_path / "before", "--json",
        ).stdout
    )  # fmt: skip
    change = {d["measure"]: d for d in after["differences"]}["accuracy"]
    assert change["problems"] == 6 and change["base_value"] == before["suites"][0]["accuracy"][1]

    measured = json.loads(
        titer("measure", "lab", suite, "samples=4", "max_tokens=48", "--out", tmp_path / "m", "--json").stdout
    )
    assert sum(measured["bands"].values()) == pytest.approx(1.0) and len(measured["rates"]) == 6
    assert (tmp_path / "m" / "solve_rates.parquet").exists()


def test_run_and_report(tmp_path: Path) -> None:
    out = tmp_path / "run"
    small = [
        "data.lab={problems: {countdown3: 10}, suites: {countdown3: 4}}", "measure.problems=2", "measure.samples=2",
        "train.updates=2", "train.epochs=1", "evaluate.samples=1", "evaluate.max_tokens=48",
    ]  # fmt: skip
    summary = json.loads(titer("run", "quickstart", *small, "--out", out, "--json").stdout)
    assert {"base", "trained", "difference"} <= set(summary["in_domain"]) and summary["seconds"] > 0
    (out / "report.html").unlink()
    text = titer("report", out).stdout
    assert "countdown3" in text and (out / "report.html").exists()
    assert json.loads(titer("report", out, "--json").stdout)["in_domain"] == summary["in_domain"]


def write(path: Path, *rows: str) -> Path:
    path.write_text("".join(row + "\n" for row in rows))
    return path


GOOD = '{"id": "p1", "prompt": "What is 1 + 1?", "answer": "2", "verifier": "exact"}'
BAD_PROBLEMS = {
    "broken JSON": ([GOOD, '{"id": "p2", '], r"p\.jsonl, row 2.*JSON"),
    "no answer": ([GOOD, '{"id": "p2", "prompt": "?"}'], r"row 2, field 'answer'"),
    "one id twice": ([GOOD, GOOD], r"row 2, field 'id'"),
    "empty": ([], r"p\.jsonl.*empty"),
    "a verifier that is not there": ([GOOD.replace("exact", "exactly")], r"'exactly'.*exact"),
}


@pytest.mark.parametrize("case", BAD_PROBLEMS)
def test_bad_problem_files(case: str, tmp_path: Path) -> None:
    rows, fault = BAD_PROBLEMS[case]
    file = write(tmp_path / "p.jsonl", *rows)
    assert re.search(fault, refused("measure", "lab", file, "--out", tmp_path / "m"))


def test_missing_files_and_models(tmp_path: Path) -> None:
    assert "none.jsonl" in refused("measure", "lab", tmp_path / "none.jsonl", "--out", tmp_path / "m")
    assert "none.jsonl" in refused("sft", "lab", tmp_path / "none.jsonl", "--out", tmp_path / "s")
    problems = write(tmp_path / "p.jsonl", GOOD)
    assert "no model at './nothing'" in refused("eval", "./nothing", problems, "--out", tmp_path / "e")
    assert "manifest.json" in refused("report", tmp_path)


def test_bad_traces(tmp_path: Path) -> None:
    good = '{"id": "a", "prompt": "?", "reasoning": "We need 1.", "response": "Answer: 1"}'
    cut = '{"id": "b", "prompt": "?", "response": "<think>We need"}'
    file = write(tmp_path / "t.jsonl", good, cut)
    assert re.search(r"t\.jsonl, row 2.*(truncated|clos)", refused("sft", "lab", file, "--out", tmp_path / "s"))
    result = json.loads(
        titer("sft", "lab", file, "updates=1", "--on-bad", "drop", "--out", tmp_path / "s", "--json").stdout
    )
    assert result["traces"] == 1 and "row 2" in result["dropped"][0]
    long = write(tmp_path / "long.jsonl", good, good.replace('"a"', '"c"').replace("need 1", "need" + " 1" * 2000))
    assert "'c' has 2" in refused("sft", "lab", long, "--out", tmp_path / "s2")
    silent = write(tmp_path / "silent.jsonl", '{"id": "a", "prompt": "?", "reasoning": "", "response": ""}')
    refused("sft", "lab", silent, "--out", tmp_path / "s3")
    assert "'skip' for --on-bad" in refused("sft", "lab", file, "--on-bad", "skip")


def test_bad_settings(lab_files: Path, tmp_path: Path) -> None:
    assert "did you mean 'epochs'" in refused("sft", "lab", lab_files / "traces.jsonl", "epoch=1")
    assert "did you mean 'train'" in refused("run", "quickstart", "trane.epochs=1", "--out", tmp_path / "r")
    assert "field 'train.epochs'" in refused("run", "quickstart", "train.epochs=lots", "--out", tmp_path / "r")
    assert "did you mean 'quickstart'" in refused("run", "quikstart", "--out", tmp_path / "r")
    (tmp_path / "letter.txt").touch()
    assert "not a run directory" in refused("run", "quickstart", "--out", tmp_path)


def test_a_full_disk_is_one_line(lab_files: Path, tmp_path: Path) -> None:
    """/dev/full takes every write and answers that there is no space."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "rollouts.jsonl").symlink_to("/dev/full")
    line = refused("measure", "lab", lab_files / "sort.jsonl", "samples=1", "--out", tmp_path / "m")
    assert "space" in line


def test_evaluations_without_a_common_problem(tmp_path: Path) -> None:
    suite = write(tmp_path / "s.jsonl", GOOD)
    other = Rollout(
        problem_id="x", sample=0, model="m", prompt="?", reasoning="", response="1", finish_reason="stop", tokens=1,
        score=1.0, parsed="1", suite="s",
    )  # fmt: skip
    write_records(tmp_path / "old" / "s.rollouts.jsonl", [other])
    line = refused(
        "eval",
        "lab",
        suite,
        "--set",
        "samples=1",
        "--set",
        "max_tokens=8",
        "--out",
        tmp_path / "e",
        "--against",
        tmp_path / "old",
    )
    assert "problem" in line
