"""`titer traces …` from the command line on the lab's files, each verb as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from titer.cli.main import main
from titer.records import read_traces
from titer.traces import FEATURES


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of one call in this process."""
    monkeypatch.setattr(sys, "argv", ["titer", "traces", *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        main()
    out = capsys.readouterr()
    return int(ended.value.code or 0), out.out, out.err


@pytest.fixture
def titer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *args: call(monkeypatch, capsys, *args)


def test_measure_writes_a_row_a_trace_and_prints_means(titer: Any, lab_files: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    status, text, _ = titer("measure", lab_files / "traces.jsonl", "--out", out, "--workers", 1, "--json")
    result = json.loads(text)
    table = pq.read_table(out).to_pylist()
    assert status == 0 and result["traces"] == len(table) == 48
    assert set(result["means"]) == {"convergent", "divergent"} and set(FEATURES) <= set(table[0])
    assert result["means"]["divergent"]["lines"] > result["means"]["convergent"]["lines"]
    assert [row["id"] for row in table] == [trace.id for trace in read_traces(lab_files / "traces.jsonl")]
    status, text, _ = titer("measure", lab_files / "traces.jsonl", "--workers", 1)
    assert status == 0 and "propose_share" in text and "convergent" in text


def test_filter_leaves_nothing_unaccounted(titer: Any, lab_files: Path, tmp_path: Path) -> None:
    args = ("filter", lab_files / "traces.jsonl", "--by", "lines", "--keep", 0.5, "--per-problem", 1)
    status, text, _ = titer(
        *args, "--out", tmp_path, "--verified", "--problems", lab_files / "problems.jsonl", "--json"
    )
    result = json.loads(text)
    kept, control = (list(read_traces(tmp_path / f"{name}.jsonl")) for name in ("kept", "control"))
    dropped = [json.loads(line) for line in (tmp_path / "dropped.jsonl").read_text().splitlines()]
    assert status == 0 and result["kept"] == len(kept) == len(control)
    assert result["rules"]["branching"] == 24 and sum(result["rules"].values()) == len(dropped) == 48 - len(kept)
    assert all(row["reason"] and row["rule"] for row in dropped) and 0 <= result["length_overlap"] <= 1
    assert len({trace.problem_id for trace in kept}) == len(kept)
    status, text, _ = titer(*args, "--out", tmp_path / "again")
    assert status == 0 and "random control" in text and "by length alone too" in text


def test_compare_prints_the_stable_form(titer: Any, lab_files: Path, tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    args = ("compare", lab_files / "traces.jsonl", "--a", "diverg", "--b", "converg")
    status, text, _ = titer(*args, "--json", "--html", page)
    result = json.loads(text)
    assert status == 0 and result["problems"] == 24 and (result["a"], result["b"]) == ("divergent", "convergent")
    for name in ("propose_share", "deduce_share", "propose_to_propose"):
        found = result["features"][name]
        assert set(found) >= {"a", "b", "difference"} and len(found["difference"]) == 3
    low, mid, high = result["features"]["lines"]["difference"]
    assert 0 < low <= mid <= high
    assert "<html" in page.read_text() and "propose" in page.read_text()
    status, text, _ = titer(*args)
    assert status == 0 and "propose" in text and "divergent" in text


def test_compare_with_a_model_profiles_its_token_losses(titer: Any, lab_files: Path) -> None:
    args = ("compare", lab_files / "traces.jsonl", "--a", "divergent", "--b", "convergent", "--model", "lab", "--json")
    features = json.loads(titer(*args)[1])["features"]
    assert features["token_nll"]["a"] > 0 and 0 < features["near_zero_share"]["a"] < 1
    assert 0.1 < features["tail_share"]["b"] <= 1


def test_show_gives_steps_that_join_to_the_text(titer: Any, lab_files: Path) -> None:
    first = next(trace for trace in read_traces(lab_files / "traces.jsonl") if trace.teacher == "divergent")
    status, text, _ = titer("show", lab_files / "traces.jsonl", "--teacher", "divergent", "--json")
    shown = json.loads(text)
    assert status == 0 and shown["id"] == first.id
    assert "".join(step["text"] for step in shown["steps"]) == first.reasoning
    status, text, _ = titer("show", lab_files / "traces.jsonl", "--id", first.id)
    assert status == 0 and "We need" in text


def test_label_writes_a_behaviour_a_step(titer: Any, lab_files: Path, tmp_path: Path) -> None:
    status, text, _ = titer("label", lab_files / "traces.jsonl", "--out", tmp_path / "steps.jsonl", "--json")
    result = json.loads(text)
    rows = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert status == 0 and len(rows) == result["traces"] == 48
    assert sum(result["behaviours"].values()) == result["steps"] == sum(len(row["steps"]) for row in rows)
    first = next(iter(read_traces(lab_files / "traces.jsonl")))
    assert "".join(step["text"] for step in rows[0]["steps"]) == first.reasoning


def test_prune_writes_marked_candidates_whose_answers_verify(titer: Any, lab_files: Path, tmp_path: Path) -> None:
    out = tmp_path / "pruned.jsonl"
    args = ("prune", lab_files / "traces.jsonl", "--problems", lab_files / "problems.jsonl", "--out", out, "--json")
    status, text, _ = titer(*args)
    result = json.loads(text)
    found = list(read_traces(out)) if result["candidates"] else []
    assert status == 0 and len(found) == result["candidates"]
    assert all(trace.id.endswith(":pruned") and trace.meta["pruned_from"] for trace in found)
    assert result["candidates"] + result["wrong"] + sum(result["refused"].values()) == 48


BAD = {
    "an unknown feature": (("filter", "{traces}", "--by", "branchiness", "--out", "{tmp}/x"), "no feature"),
    "nobody to pair with": (("filter", "{traces}", "--by", "step_ratio", "--out", "{tmp}/x"), "to pair with"),
    "an unknown teacher": (("compare", "{traces}", "--a", "qwen", "--b", "convergent"), "fits no teacher"),
    "one teacher twice": (("compare", "{traces}", "--a", "verg", "--b", "divergent"), "both fit"),
    "no such trace": (("show", "{traces}", "--id", "nothing"), "no such trace"),
    "a table of another kind": (("measure", "{traces}", "--out", "{tmp}/x.csv"), "Parquet"),
    "nothing to verify by": (("filter", "{traces}", "--verified", "--out", "{tmp}/x"), "verify"),
    "a judge without a name": (("label", "{traces}", "--out", "{tmp}/x", "--server", "http://127.0.0.1:9/v1"), "name"),
    "no such file": (("measure", "{tmp}/none.jsonl"), "no such file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_status_2(case: str, titer: Any, lab_files: Path, tmp_path: Path) -> None:
    args, fault = BAD[case]
    status, out, err = titer(*(part.format(traces=lab_files / "traces.jsonl", tmp=tmp_path) for part in args))
    assert status == 2 and out == "" and fault in err and err.startswith("titer: ") and err.count("\n") == 1


def test_reading_traces_needs_no_torch(lab_files: Path) -> None:
    code = (
        "import sys; from titer.verbs import traces; "
        f"traces.measure({str(lab_files / 'traces.jsonl')!r}, workers=1); "
        f"traces.compare({str(lab_files / 'traces.jsonl')!r}, a='div', b='conv'); "
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "args",
    [
        ("measure", "--workers", 1),
        ("filter", "--out", "out"),
        ("compare", "--a", "convergent", "--b", "divergent"),
        ("label", "--out", "out.jsonl"),
        ("prune", "--out", "out.jsonl"),
    ],
    ids=lambda args: args[0],
)
def test_rows_that_are_dropped_are_said(args: tuple[Any, ...], titer: Any, lab_files: Path, tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text('{"id": "broken"\n' + (lab_files / "traces.jsonl").read_text())
    verb, *options = [tmp_path / str(arg) if str(arg).startswith("out") else arg for arg in args]
    status, _, said = titer(verb, file, *options)
    assert status == 2 and "row 1" in said
    status, _, said = titer(verb, file, *options, "--on-bad", "drop")
    assert status == 0 and said.count("dropped: ") == 1 and "row 1" in said
