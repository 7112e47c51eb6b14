"""`titer traces …` from the command line on the lab's files, each verb as a user calls it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from titer.cli.main import main
from titer.errors import InputError
from titer.records import Trace, read_traces, write_records
from titer.traces import FEATURES, delete_steps
from titer.verbs import traces as verbs


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
    args = ("filter", lab_files / "traces.jsonl", "--by", "steps", "--keep", 0.5, "--per-problem", 1)
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
    assert status == 0 and "random control" in text and "of those dropped for branching are among them" in text
    length = int(re.findall(r"by length alone +those over ([\d,]+) characters;", text)[0].replace(",", ""))
    assert length == result["length_cutoff"] > 0 and result["unranked"] == 0 and "without a rank" not in text


def test_filter_says_which_traces_have_no_rank(titer: Any, lab_files: Path, tmp_path: Path) -> None:
    args = ("filter", lab_files / "traces.jsonl", "--by", "step_ratio", "--paired-with", "convergent", "--keep", 0.5)
    assert json.loads(titer(*args, "--out", tmp_path / "a", "--json")[1])["unranked"] == 24
    assert re.search(r"without a rank, kept +24\n", titer(*args, "--out", tmp_path / "b")[1])


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


# its second line is given up, and nothing refers to it
BRANCHED = (
    "We need 5 + 7.\n\nPerhaps count on fingers.\n\nThat takes hands. Wait, that does not work.\n\n"
    "Alternatively, add them.\n\n5 + 7 = 12.\n\nSo the answer is 12."
)


def branched(id: str, **fields: Any) -> Trace:
    return Trace(
        **{"id": id, "problem_id": id, "prompt": "What is 5 + 7?", "response": "12", **fields}, reasoning=BRANCHED
    )


def test_prune_writes_only_what_is_whole_and_verifies(titer: Any, tmp_path: Path) -> None:
    file, out = tmp_path / "t.jsonl", tmp_path / "o.jsonl"
    rows = [
        branched("said right", correct=True),
        branched("said wrong", correct=False),
        branched("cut", correct=True, truncated=True),
        branched("unknown"),
        branched("graded right", correct=False, answer="12"),
        branched("graded wrong", correct=True, answer="13"),
        branched("a sibling's answer", problem_id="graded right"),
    ]
    write_records(file, rows)
    result = json.loads(titer("prune", file, "--out", out, "--json")[1])
    ids = [trace.meta["pruned_from"] for trace in read_traces(out)]
    assert ids == ["said right", "graded right", "a sibling's answer"] and result["candidates"] == 3
    assert result["refused"] == {"the trace is truncated": 1, "no answer to verify": 1} and result["wrong"] == 2
    write_records(file, [branched("a"), branched("b")])
    status, _, said = titer("prune", file, "--out", out)
    assert status == 2 and "give --problems FILE" in said


def test_delete_writes_every_trace_without_some_steps(titer: Any, lab_files: Path, tmp_path: Path) -> None:
    out, same = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    args = ("delete", lab_files / "traces.jsonl", "--rate", 0.3, "--seed", 1)
    result = json.loads(titer(*args, "--out", out, "--json")[1])
    whole, found = list(read_traces(lab_files / "traces.jsonl")), list(read_traces(out))
    assert [trace.reasoning for trace in found] == [delete_steps(trace.reasoning, 0.3, 1) for trace in whole]
    assert [trace.id for trace in found] == [f"{trace.id}:deleted" for trace in whole]
    assert found[0].meta["deleted_from"] == whole[0].id and found[0].meta["deleted_rate"] == 0.3
    assert [trace.response for trace in found] == [trace.response for trace in whole]
    kept = [len(new.reasoning) / len(old.reasoning.rstrip()) for new, old in zip(found, whole, strict=True)]
    assert result["traces"] == 48 and result["unchanged"] == kept.count(1.0) < 24 and 0.1 < result["share"] < 0.5
    status, text, _ = titer(*args, "--out", same)
    assert status == 0 and f"{result['share']:.1%}" in text and same.read_bytes() == out.read_bytes()


def long_trace(tmp_path: Path, reasoning: str) -> Path:
    write_records(file := tmp_path / "long.jsonl", [branched("x", response="1")])
    file.write_text(json.dumps(json.loads(file.read_text()) | {"reasoning": reasoning}) + "\n")
    return file


LONG = {
    "steps": ("So x = 1.\n" * 20_000, "19,500 steps left out; --json gives all", 502),
    "a line": ("then we go on " * 100_000, "…", 40),
    "a word": ("a" * 1_000_000, "…", 40),
    "lines of a letter": ("```\n" + "a\n" * 100_000 + "```", "…", 102),
    "blank lines": ("\n" * 1_000_000 + "So x = 1.", "So x = 1.", 3),
}


@pytest.mark.parametrize("case", LONG)
def test_show_bounds_what_is_long(case: str, titer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    reasoning, mark, most = LONG[case]
    status, text, _ = titer("show", long_trace(tmp_path, reasoning))
    assert status == 0 and mark in text and text.count("\n") <= most and len(text) < 40_000


def test_show_says_once_where_a_dead_line_goes_on(titer: Any, tmp_path: Path) -> None:
    dead = BRANCHED.replace("That takes hands.", "That takes hands. " * 150)
    text = titer("show", long_trace(tmp_path, dead))[1]
    assert text.count("abandoned line") == 1 and text.count("takes hands") == 150
    dead = BRANCHED.replace("That takes hands.", "That takes hands. " * 900)
    text = titer("show", long_trace(tmp_path, dead))[1]
    assert text.count("abandoned line") == 2 and text.count("steps left out") == 1


def test_measure_cleans_up_after_a_bad_row(titer: Any, lab_files: Path, tmp_path: Path) -> None:
    (file := tmp_path / "t.jsonl").write_text((lab_files / "traces.jsonl").read_text() + '{"id": "broken"\n')
    (out := tmp_path / "o").mkdir()
    assert titer("measure", file, "--out", out / "g.parquet", "--workers", 1)[0] == 2
    assert list(out.iterdir()) == []


def test_names_of_files_reach_no_terminal(titer: Any, tmp_path: Path) -> None:
    hostile = "org/\x1b[31m\x9b2J\u202e[bold]m"
    write_records(file := tmp_path / "t.jsonl", [branched("a", teacher=hostile), branched("b", teacher="org2/n")])
    broken = json.dumps({"id": "a", "prompt": "?", "response": "1", "teacher": "n"}) + "\n"
    (bad := tmp_path / "bad.jsonl").write_text(
        json.dumps({"id": "\x9b2J", "prompt": "?", "response": "1"}) + "\n" + broken
    )
    bad.write_text(bad.read_text() * 2)
    status, text, _ = titer("measure", file, "--workers", 1)
    assert status == 0 and "[bold]m" in text
    said = titer("compare", file, "--a", "nobody", "--b", "n")[2]
    assert "fits no teacher" in said and "[bold]m" in said
    dropped = titer("measure", bad, "--workers", 1, "--on-bad", "drop")[2]
    assert dropped.count("dropped: ") == 2
    assert not set("\x1b\x9b\u202e") & set(text + said + dropped)


def test_teachers_of_two_organisations_are_told_apart(titer: Any, tmp_path: Path) -> None:
    teachers = ["org1/m", "org2/m", "org1/n", ""]
    write_records(tmp_path / "t.jsonl", [branched(str(i), teacher=name) for i, name in enumerate(teachers)])
    header = next(
        line for line in titer("measure", tmp_path / "t.jsonl", "--workers", 1)[1].splitlines() if "mean" in line
    )
    assert header.split() == ["mean", "of", "no", "teacher", "org1/m", "n", "org2/m"]


def test_people_see_a_dash_for_no_number(titer: Any, tmp_path: Path) -> None:
    write_records(tmp_path / "t.jsonl", [Trace(id="a", problem_id="a", prompt="?", response="1", reasoning="So 1.")])
    text = titer("measure", tmp_path / "t.jsonl", "--workers", 1)[1]
    assert re.search(r"propose_to_propose +–", text) and "nan" not in text
    text = titer("filter", tmp_path / "t.jsonl", "--out", tmp_path / "o", "--shortest", 100)[1]
    assert re.search(r"largest cue share kept +–", text) and "nan" not in text


def test_compare_by_a_key_of_the_meta(titer: Any, lab_files: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (lab_files / "traces.jsonl").read_text().splitlines()]
    for row in rows:
        row["meta"] = row.get("meta", {}) | {"source": row.pop("teacher") + "-set", "list": [1]}
    (file := tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sides = ("--a", "diverg", "--b", "converg", "--json")
    by_teacher = json.loads(titer("compare", lab_files / "traces.jsonl", *sides)[1])
    by_source = json.loads(titer("compare", file, "--by", "source", *sides)[1])
    assert by_source == by_teacher | {"a": "divergent-set", "b": "convergent-set"}
    assert verbs.compare(file, a="diverg", b="converg", by="source").comparison.a == "divergent-set"
    status, _, said = titer("compare", file, "--by", "nothing", *sides)
    assert status == 2 and "use one of: teacher, " in said and "source" in said and "list" not in said
    said = titer("compare", file, "--by", "source", "--a", "qwen", "--b", "converg")[2]
    assert "field 'source': 'qwen' fits no source; there are: convergent-set, divergent-set" in said


OVER_INPUT: dict[str, tuple[Any, ...]] = {
    "measure": ("measure", "{t}.parquet", "--out", "{t}.parquet"),
    "filter": ("filter", "{d}/kept.jsonl", "--out", "{d}"),
    "filter's problems": ("filter", "{t}.jsonl", "--problems", "{d}/control.jsonl", "--out", "{d}"),
    "filter's evaluation": ("filter", "{t}.jsonl", "--evaluation", "{d}/dropped.jsonl", "--out", "{d}/../d"),
    "compare": ("compare", "{t}.jsonl", "--a", "a", "--b", "b", "--html", "{t}.jsonl"),
    "label": ("label", "{t}.jsonl", "--out", "{d}/../t.jsonl"),
    "label's verdicts": (
        *("label", "{t}.verdicts.jsonl", "--out", "{t}.jsonl", "--server", "http://127.0.0.1:9/v1", "--model", "m"),
    ),
    "prune": ("prune", "{t}.jsonl", "--out", "{t}.jsonl"),
    "prune's problems": ("prune", "{t}.jsonl", "--problems", "{d}/problems.jsonl", "--out", "{d}/problems.jsonl"),
    "delete through a link": ("delete", "{t}.jsonl", "--out", "{d}/link.jsonl"),
    "into a folder that is read": ("delete", "{d}", "--out", "{d}/more.jsonl"),
}


@pytest.mark.parametrize("case", OVER_INPUT)
def test_no_verb_writes_over_its_input(case: str, titer: Any, tmp_path: Path) -> None:
    (folder := tmp_path / "d").mkdir()
    names = ["t.jsonl", "t.verdicts.jsonl", "t.parquet", "d/kept.jsonl"]
    for name in names:
        write_records(tmp_path / name, [branched("a", correct=True)])
    (folder / "link.jsonl").symlink_to(tmp_path / "t.jsonl")
    before = [(tmp_path / name).read_bytes() for name in names]
    status, out, said = titer(*(part.format(t=tmp_path / "t", d=folder) for part in OVER_INPUT[case]))
    assert status == 2 and out == "" and "the input too; name another place" in said and said.count("\n") == 1
    assert [(tmp_path / name).read_bytes() for name in names] == before


@pytest.mark.parametrize("place", ["/proc/q", "long"])
@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("measure", ("--workers", 1, "--out", "{}.parquet")),
        ("filter", ("--out", "{}")),
        ("compare", ("--a", "div", "--b", "conv", "--html", "{}.html")),
        ("label", ("--out", "{}.jsonl")),
        ("delete", ("--out", "{}.jsonl")),
    ],
)
def test_what_cannot_be_written_is_one_line(
    place: str, verb: str, options: tuple[Any, ...], titer: Any, lab_files: Path, tmp_path: Path
) -> None:
    if place == "/proc/q" and not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    name = str(tmp_path / ("x" * 300)) if place == "long" else place
    status, out, said = titer(verb, lab_files / "traces.jsonl", *(str(option).format(name) for option in options))
    assert status == 2 and out == "" and said.startswith(f"titer: {name}") and said.count("\n") == 1
    assert "cannot be written" in said


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
    "nothing to keep": (("filter", "{traces}", "--keep", "0", "--out", "{tmp}/x"), "keep is 0.0"),
    "a pair without need": (("filter", "{traces}", "--paired-with", "conv", "--out", "{tmp}/x"), "step_ratio"),
    "shorter than short": (
        ("filter", "{traces}", "--shortest", "9", "--longest", "8", "--out", "{tmp}/x"),
        "shortest is 9, longest 8",
    ),
    "a judge without a server": (("label", "{traces}", "--out", "{tmp}/x", "--model", "m"), "without a server"),
    "nothing to prune by": (("prune", "{traces}", "--out", "{tmp}/x.jsonl"), "give --problems FILE"),
    "nothing to delete": (("delete", "{traces}", "--rate", "0", "--out", "{tmp}/x.jsonl"), "rate is 0.0"),
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
        ("prune", "--problems", "problems.jsonl", "--out", "out.jsonl"),
        ("delete", "--out", "out.jsonl"),
        ("show",),
    ],
    ids=lambda args: args[0],
)
def test_rows_that_are_dropped_are_said(args: tuple[Any, ...], titer: Any, lab_files: Path, tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text('{"id": "broken"\n' + (lab_files / "traces.jsonl").read_text())
    (tmp_path / "problems.jsonl").write_text((lab_files / "problems.jsonl").read_text())
    verb, *options = [tmp_path / str(arg) if str(arg).startswith(("out", "problems")) else arg for arg in args]
    status, _, said = titer(verb, file, *options)
    assert status == 2 and "row 1" in said
    status, _, said = titer(verb, file, *options, "--on-bad", "drop")
    assert status == 0 and said.count("dropped: ") == 1 and "row 1" in said


def test_bad_problems_are_dropped_and_listed_too(lab_files: Path, tmp_path: Path) -> None:
    lines = (lab_files / "problems.jsonl").read_text()
    (problems := tmp_path / "problems.jsonl").write_text(
        '{"id": "b", "prompt": "?", "answer": "1", "verifier": "no"}\n{"id"\n' + lines
    )
    file, out = lab_files / "traces.jsonl", tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="unknown verifier"):
        verbs.prune(file, out=out, problems=problems)
    assert len(verbs.prune(file, out=out, problems=problems, on_bad="drop").dropped) == 2
    found = verbs.filter(file, out=tmp_path, problems=problems, evaluation=[problems], verified=True, on_bad="drop")
    assert len(found.dropped) == 3  # evaluation needs no verifier


@pytest.mark.parametrize("verb", ["measure", "filter", "compare", "label", "show", "prune", "delete"])
def test_every_verb_has_help_with_an_example(verb: str, titer: Any) -> None:
    status, text, _ = titer(verb, "--help")
    assert status == 0 and f"titer traces {verb} traces.jsonl" in " ".join(text.split()) and "--json" in text


def test_what_a_file_says_stands_where_nothing_can_be_graded(titer: Any, tmp_path: Path) -> None:
    rows = [
        Trace(id="a", problem_id="p", prompt="Which?", response="So \\boxed{x^2}.", answer="x²", correct=True),
        Trace(id="b", problem_id="q", prompt="1 + 1?", response="So \\boxed{3}.", answer="2", correct=True),
    ]
    write_records(tmp_path / "t.jsonl", rows)
    status, out, _ = titer(
        "filter", tmp_path / "t.jsonl", "--by", "none", "--verified", "--out", tmp_path / "k", "--json"
    )
    assert status == 0 and json.loads(out)["rules"] == {"wrong": 1}
    assert [trace.id for trace in read_traces(tmp_path / "k" / "kept.jsonl")] == ["a"]


def test_one_id_for_two_questions_is_refused_or_dropped_where_answers_count(tmp_path: Path) -> None:
    rows = [
        Trace(id="a", problem_id="0", prompt="1 + 1?", response="So \\boxed{2}.", answer="2"),
        Trace(id="b", problem_id="0", prompt="2 + 3?", response="So \\boxed{5}.", answer="5"),
        Trace(id="c", problem_id="0", prompt="Now: 1 + 1?", response="So \\boxed{2}."),
    ]
    write_records(tmp_path / "t.jsonl", rows)
    with pytest.raises(InputError, match=r"t.jsonl, field 'problem_id': trace 'b' calls another question '0'"):
        verbs.filter(tmp_path / "t.jsonl", by="none", verified=True, out=tmp_path / "k")
    found = verbs.filter(tmp_path / "t.jsonl", by="none", verified=True, out=tmp_path / "k", on_bad="drop")
    assert (found.kept, found.rules, len(found.dropped)) == (2, {}, 1)
    assert verbs.filter(tmp_path / "t.jsonl", by="none", out=tmp_path / "k").kept == 3


def test_a_trace_is_found_by_its_problem_and_exactly_before_in_part(titer: Any, tmp_path: Path) -> None:
    rows = [branched("x1", problem_id="p10"), branched("x2", problem_id="p1"), branched("p1x", problem_id="q")]
    write_records(tmp_path / "t.jsonl", rows)
    assert [verbs.show(tmp_path / "t.jsonl", id=name).trace.id for name in ("p1", "x1", "p", "1x")] == [
        "x2", "x1", "x1", "p1x",
    ]  # fmt: skip
