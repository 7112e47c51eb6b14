"""Results of lm-eval and lighteval read, and ours written in their layout."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from titer import verbs
from titer.errors import InputError
from titer.evaluate import summarise
from titer.evaluate.harness import HarnessScore, read_harness, write_harness
from titer.records import Problem, Rollout, append_rollouts
from titer.verbs.verdict import _pooled, _Task

DATE = "2026-11-21T10-00-00.000001"


def lm_eval(folder: Path, tasks: dict[str, list[float]], *, samples: bool = True) -> Path:
    """A results file as lm-eval 0.4.13 writes it, with the samples of each task."""
    folder.mkdir(parents=True)
    results: dict[str, Any] = {"results": {}, "n-samples": {}}
    for name, scores in tasks.items():
        results["results"][name] = {
            "name": name,
            "alias": name,
            "sample_len": len(scores),
            "exact_match,strict-match": float(np.mean(scores)),
            "exact_match_stderr,strict-match": float(np.std(scores) / math.sqrt(len(scores))),
            "exact_match,flexible-extract": 1.0,
            "exact_match_stderr,flexible-extract": "N/A",
        }
        results["n-samples"][name] = {"original": 1319, "effective": len(scores)}
        if samples:
            rows = [
                {
                    "doc_id": i,
                    "doc_hash": f"h{i}",
                    "filter": kept,
                    "exact_match": score if kept == "strict-match" else 1.0,
                }
                for i, score in enumerate(scores)
                for kept in ("strict-match", "flexible-extract")
            ]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"samples_{name}_{DATE}.jsonl").write_text(lines)
    (folder / f"results_{DATE}.json").write_text(json.dumps(results))
    return folder


def test_lm_eval_with_samples(tmp_path: Path) -> None:
    (score,) = read_harness(lm_eval(tmp_path / "model", {"gsm8k": [1.0, 0.0, 0.0, 1.0]}))
    assert (score.task, score.metric, score.value, score.problems) == ("gsm8k", "exact_match,strict-match", 0.5, 4)
    assert score.by_problem == {"h0": 1.0, "h1": 0.0, "h2": 0.0, "h3": 1.0}


def test_a_metric_can_be_named(tmp_path: Path) -> None:
    folder = lm_eval(tmp_path / "model", {"gsm8k": [1.0, 0.0]})
    (score,) = read_harness(folder, {"gsm8k": "exact_match,flexible-extract"})
    assert score.value == 1.0 and math.isnan(score.error) and score.by_problem == {"h0": 1.0, "h1": 1.0}
    with pytest.raises(InputError, match="no metric 'acc'") as refusal:
        read_harness(folder, {"gsm8k": "acc"})
    assert "exact_match,strict-match" in refusal.value.remedy


def test_lighteval(tmp_path: Path) -> None:
    table = {"results": {"harness|gsm8k|5": {"acc": 0.505, "acc_stderr": 0.0138}, "all": {"acc": 0.505}}}
    file = tmp_path / "results_2024.json"
    file.write_text(json.dumps(table))
    (score,) = read_harness(file)
    assert (score.task, score.value, score.error, score.problems) == ("harness|gsm8k|5", 0.505, 0.0138, 0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "no JSON"),
        ("[]", "has no results"),
        ('{"results": {"a": {"alias": "a"}}}', "has no score"),
        ('{"results": {"a": {"acc,none": 0.5, "acc_stderr,none": 1e308}}}', "the standard error of task 'a' is 1e.308"),
        ('{"results": {"a": {"acc,none": -1e308}}}', "the acc,none of task 'a' is -1e.308"),
        ('{"results": {"a": {"acc,none": 0.5}}, "n-samples": {"a": {"effective": 1e308}}}', "number of problems"),
        ('{"results": {"a": {"acc,none": 0.5}}, "n-samples": {"a": {"effective": NaN}}}', "number of problems"),
    ],
)
def test_bad_results(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "results_x.json").write_text(text)
    with pytest.raises(InputError, match=fault):
        read_harness(tmp_path)


def test_ours_reads_back_as_a_harness_writes(tmp_path: Path) -> None:
    rollouts = [
        Rollout(
            problem_id=f"p{i}", sample=k, model="m", prompt=f"{i}?", reasoning="", response="1", finish_reason="stop",
            tokens=1, score=float(i % 2), parsed="1", suite="s", axis="in_domain",
        )
        for i in range(6) for k in range(2)
    ]  # fmt: skip
    (score,) = read_harness(write_harness(tmp_path, summarise(rollouts), rollouts, model="m"))
    assert (score.task, score.value, score.problems, len(score.by_problem)) == ("s", 0.5, 6, 6)
    assert sum(score.by_problem.values()) == 3


def test_hashes_say_what_was_asked_and_how(tmp_path: Path) -> None:
    row = Rollout(problem_id="p", sample=0, model="m", prompt="1 + 1?", reasoning="", response="2",
                  finish_reason="stop", tokens=1, score=1.0, parsed="2", suite="s", axis="in_domain")  # fmt: skip

    def written(answer: str, template: str) -> dict[str, Any]:
        problems = {"s": [Problem(id="p", prompt="1 + 1?", answer=answer)]}
        file = write_harness(tmp_path, summarise([row]), [row], model="m", problems=problems, template=template)
        return dict(json.loads(file.read_text()))

    one, other = written("2", "{{ a }}"), written("3", "{{ b }}")
    assert one["task_hashes"] != other["task_hashes"] and one["chat_template_sha"] != other["chat_template_sha"]
    assert one["code_sha"] == other["code_sha"] and len(one["code_sha"]) == 64
    assert one == written("2", "{{ a }}")


def test_a_verdict_on_harness_results_is_paired_where_samples_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = rng.binomial(1, 0.4, size=200).astype(float)
    better = np.maximum(base, rng.binomial(1, 0.15, size=200))
    files = {0: {"math": base}, 640: {"math": better}}
    both = {step: lm_eval(tmp_path / f"at{step}", {k: v.tolist() for k, v in t.items()}) for step, t in files.items()}
    found = verbs.verdict(both)
    assert found.axes[0].label == "improving" and found.axes[0].problems == 200
    bare = {
        step: lm_eval(tmp_path / f"bare{step}", {k: v.tolist() for k, v in t.items()}, samples=False)
        for step, t in files.items()
    }
    wider = verbs.verdict(bare)
    assert wider.axes[0].accuracy.mid == pytest.approx(found.axes[0].accuracy.mid)
    width, paired = (v.accuracy.high - v.accuracy.low for v in (wider.axes[0], found.axes[0]))
    assert width > 1.5 * paired
    assert wider.axes[0].length == "cannot tell" and wider.axes[0].tokens is None


def test_the_task_whose_samples_are_no_accuracy_is_named(tmp_path: Path) -> None:
    tables = {"math": [0.0, 1.0], "sums": [1.0, 7.0]}
    both = {step: lm_eval(tmp_path / f"at{step}", tables) for step in (0, 640)}
    with pytest.raises(InputError, match=r"samples of 'sums' are not in \[0, 1\]"):
        verbs.verdict(both)


def test_a_verdict_on_titers_own_evaluations(tmp_path: Path) -> None:
    def write(folder: Path, right: int) -> Path:
        rows = [
            Rollout(
                problem_id=f"p{i}", sample=0, model="m", prompt="?", reasoning="", response="1", finish_reason="stop",
                tokens=5, score=float(i < right or i >= 40), parsed="declined" if i < right else "answered",
                suite="guarded", axis="",
            )
            for i in range(60)
        ]  # fmt: skip
        folder.mkdir()
        append_rollouts(folder / "guarded.rollouts.jsonl", rows)
        (folder / "results_titer.json").write_text("{}")
        return folder

    both = {0: write(tmp_path / "a", 40), 40: write(tmp_path / "b", 20)}
    (verdict,) = verbs.verdict(both, axes={"guarded": "safety"}).axes
    assert verdict.axis == "safety" and verdict.label == "dipping"
    assert verdict.parts["refuses what it should"].mid < 0
    with pytest.raises(InputError, match="no evaluation has suite 'gaurded'; there are: guarded"):
        verbs.verdict(both, axes={"gaurded": "safety"})
    # an evaluation that was killed is not judged as if it were one
    (tmp_path / "b" / "results_titer.json").unlink()
    with pytest.raises(InputError, match="was not finished"):
        verbs.verdict(both, axes={"guarded": "safety"})


def test_evaluations_of_other_problems_or_sampling_are_refused(tmp_path: Path) -> None:
    def write(name: str, prompt: str, temperature: float) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        row = Rollout(problem_id="p", sample=0, model="m", prompt=prompt, reasoning="", response="1",
                      finish_reason="stop", tokens=5, score=1.0, parsed="1", suite="s")  # fmt: skip
        append_rollouts(folder / "s.rollouts.jsonl", [row])
        (folder / "s.rollouts.made.json").write_text(json.dumps({"sampling": {"temperature": temperature}}))
        (folder / "results_titer.json").write_text("{}")
        return folder

    base = write("base", "What is 1 + 1?", 0.6)
    with pytest.raises(InputError, match="problem 'p' of suite 's' is another one"):
        verbs.verdict({0: base, 10: write("other", "What is 1 + 2?", 0.6)})
    with pytest.raises(InputError, match="temperature differ"):
        verbs.verdict({0: base, 10: write("hotter", "What is 1 + 1?", 1.0)})


def test_the_newest_results_are_those_of_the_latest_date(tmp_path: Path) -> None:
    for model, date, score in (("step-000640", "2026-01-01T10-00-00.1", 0.9), ("step-000100", "2026-01-02T09", 0.1)):
        (tmp_path / model).mkdir()
        (tmp_path / model / f"results_{date}.json").write_text(json.dumps({"results": {"a": {"acc,none": score}}}))
    (score,) = read_harness(tmp_path)
    assert score.value == 0.1


def test_means_of_tasks_are_no_tasks_and_errors_no_accuracy(tmp_path: Path) -> None:
    row = {"acc,none": 0.5, "acc_stderr,none": 0.1}
    table = {
        "results": {"mmlu": row, "mmlu_a": row, "brier": {"brier_score,none": 0.2}},
        "groups": {"mmlu": row},
        "group_subtasks": {"mmlu": ["mmlu_a"]},
        "higher_is_better": {"brier": {"brier_score": False}},
    }
    file = tmp_path / "results_x.json"
    file.write_text(json.dumps(table))
    with pytest.raises(InputError, match="lower is better in brier_score,none of task 'brier'"):
        read_harness(file)
    del table["results"]["brier"]
    file.write_text(json.dumps(table))
    assert [score.task for score in read_harness(file)] == ["mmlu_a"]


def test_what_could_not_be_graded_is_left_out_when_ours_is_read_back(tmp_path: Path) -> None:
    rollouts = [
        Rollout(problem_id=f"p{i}", sample=0, model="m", prompt=f"{i}?", reasoning="", response="1",
                finish_reason="stop", tokens=1, score=None if i == 3 else 1.0, parsed="1", suite="s", axis="in_domain")
        for i in range(6)
    ]  # fmt: skip
    (score,) = read_harness(write_harness(tmp_path, summarise(rollouts), rollouts, model="m"))
    assert len(score.by_problem) == 5


def test_what_cannot_be_judged_is_refused(tmp_path: Path) -> None:
    folder = lm_eval(tmp_path / "a", {"gsm8k": [1.0, 0.0]})
    with pytest.raises(InputError, match="no base and checkpoint"):
        verbs.verdict({640: folder})
    with pytest.raises(InputError, match="'maths' for suite 'gsm8k'"):
        verbs.verdict({0: folder, 640: folder}, axes={"gsm8k": "maths"})
    with pytest.raises(InputError, match="share no task"):
        verbs.verdict({0: folder, 640: lm_eval(tmp_path / "b", {"aime": [1.0]})})
    with pytest.raises(InputError, match="no such file"):
        verbs.verdict({0: folder, 640: tmp_path / "none"})


def test_a_task_of_which_nothing_is_right_has_an_error_among_others() -> None:
    def task(*scores: tuple[float, float]) -> _Task:
        return _Task([HarnessScore("t", "acc", value, error, 30, {}) for value, error in scores])

    pooled = _pooled((0, 20), [task((0.0, 0.0), (0.2, 0.07)), task((0.5, 0.09), (0.5, 0.09))])
    nothing = 1 / 32 * 31 / 32 / 32
    assert np.diag(pooled.cov_TT) == pytest.approx([(nothing + 0.09**2) / 4, (0.07**2 + 0.09**2) / 4])
