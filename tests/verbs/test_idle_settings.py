"""Settings that a verb has no use for are refused before anything is read or sampled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from titer import verbs
from titer.errors import InputError
from titer.recipe import Choose, Evaluate, Generate, Measure, Train
from titer.records import Problem, write_records

HERE, URL = "problems.jsonl", "http://127.0.0.1:9/v1"
CASES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "measure, problems": (
        "field 'problems': nothing here uses it: every problem of the file is measured",
        lambda tmp: verbs.measure("lab", tmp / HERE, out=tmp / "o", settings=Measure(problems=2)),
    ),
    "measure, a server": (
        "field 'engine': nothing here uses it: a server samples as it was started",
        lambda tmp: verbs.measure("m", tmp / HERE, out=tmp / "o", server=URL, generate=Generate(engine="vllm")),
    ),
    "eval, a budget": (
        "field 'checkpoints': nothing here uses it: it is for the checkpoints of a run",
        lambda tmp: verbs.eval("lab", {"p": tmp / HERE}, out=tmp / "o", settings=Evaluate(checkpoints="grid")),
    ),
    "eval, a limit": (
        "field 'limit': it is for tasks of lm-eval, and there are none; add --harness TASK",
        lambda tmp: verbs.eval("lab", {"p": tmp / HERE}, out=tmp / "o", limit=1),
    ),
    "eval, an earlier one": (
        "field 'against': no suite to compare; give problem files, or leave it out",
        lambda tmp: verbs.eval("lab", {}, out=tmp / "o", against=tmp, harness=["gsm8k"]),
    ),
    "prior, a trial": (
        "field 'updates': nothing here uses it: it is for the trial of a run",
        lambda tmp: verbs.prior("lab", tmp / "traces.jsonl", settings=Choose(updates=3)),
    ),
    "sft, launch": (
        "field 'launch': nothing here uses it: sft itself is started with torchrun",
        lambda tmp: verbs.sft("lab", tmp / "traces.jsonl", out=tmp / "o", settings=Train(launch="ddp")),
    ),
    "filter, keep": (
        "field 'keep': a share to keep, and nothing to rank by; name a feature with --by",
        lambda tmp: verbs.traces.filter(tmp / "traces.jsonl", out=tmp / "o", by="none", keep=0.5),
    ),
    "filter, problems": (
        "field 'problems': problems to verify by, and nothing to be verified; add --verified",
        lambda tmp: verbs.traces.filter(tmp / "traces.jsonl", out=tmp / "o", problems=tmp / "nowhere.jsonl"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_setting_without_a_use_is_one_line(case: str, tmp_path: Path) -> None:
    said, call = CASES[case]
    write_records(tmp_path / HERE, [Problem(id="p", prompt="1 + 1?", answer="2", verifier="exact")])
    with pytest.raises(InputError) as caught:
        call(tmp_path)
    assert str(caught.value).startswith(said) and not (tmp_path / "o").exists()


def test_a_metric_is_for_results_of_a_harness(tmp_path: Path) -> None:
    problem = Problem(id="p", prompt="1 + 1?", answer="2", verifier="exact")
    write_records(tmp_path / "s.jsonl", [problem])
    for name in ("before", "after"):
        settings = Evaluate(samples=1, max_tokens=4)
        verbs.eval("lab", {"s": tmp_path / "s.jsonl"}, out=tmp_path / name, settings=settings)
    with pytest.raises(InputError, match="titer's own evaluations have one metric"):
        verbs.verdict({0: tmp_path / "before", 10: tmp_path / "after"}, metrics={"s": "other"})
