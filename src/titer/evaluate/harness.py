"""Results of lm-evaluation-harness and lighteval as measurements, and ours in the harness's layout.

    for score in read_harness(Path("results/model")):        # a results_*.json, or the folder that holds it
        print(score.task, score.metric, score.value, score.error, len(score.by_problem))
    write_harness(Path("out"), summaries, rollouts, model="lab")

lm-evaluation-harness writes `results_DATE.json` and, with --log_samples, `samples_TASK_DATE.jsonl`: then every problem
is known by the hash of its document, and two checkpoints are compared problem by problem. lighteval writes
`results_DATE.json` alone, of which a score and its standard error can be read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from titer import __version__
from titer.errors import InputError, reading
from titer.records.results import SuiteSummary
from titer.records.schema import Problem, Rollout
from titer.rollouts.claim import shown
from titer.store import write_text

_DATED = re.compile(r"results_\d{4}-\d{2}-\d{2}")
NO_PROBLEMS: Final[Mapping[str, Sequence[Problem]]] = MappingProxyType({})
REMEDY = "give a results_*.json of lm-eval or lighteval, or the folder that holds it"
RESULTS: Final = "results_titer.json"
BIGGEST = 1e12  # of what a harness says: scores, errors, counts


class HarnessScore(NamedTuple):
    """A task's score, its standard error (nan: not given), over how many problems (0: not told), and, where samples
    were logged, the score of each problem by the hash of its document."""

    task: str
    metric: str
    value: float
    error: float
    problems: int
    by_problem: Mapping[str, float]


def read_harness(path: Path, metrics: Mapping[str, str] | None = None) -> list[HarnessScore]:
    """The scores of every task of a results file, or of the newest one in a folder; rows that are the mean of other
    tasks are left out.

    `metrics` names the metric of a task, as the file does (`exact_match,strict-match` or `exact_match`); by default
    its first one. Raises InputError for a file that is none, for a metric that a task does not have, and for one of
    which less is better.
    """
    file = _newest(path)
    with reading(file, remedy=REMEDY, by="lm-eval or lighteval"):
        return _scores(file, _loaded(file), metrics or {})


def _scores(file: Path, found: Mapping[str, Any], asked: Mapping[str, str]) -> list[HarnessScore]:
    counts = found.get("n-samples") or {}
    lower = {
        (task, metric)
        for task, said in (found.get("higher_is_better") or {}).items()
        for metric, higher in (said or {}).items()
        if higher is False
    }
    scores = [
        _score(file, task, row, asked.get(task, ""), counts.get(task) or {})
        for task, row in found["results"].items()
        if isinstance(row, dict) and not _is_mean_of_tasks(task, found)
    ]
    for score in scores:
        if (score.task, score.metric.partition(",")[0]) in lower:
            raise InputError(
                f"lower is better in {score.metric} of task {score.task!r}",
                file=file,
                field=f"results.{score.task}",
                remedy="name an accuracy: --metric TASK=METRIC",
            )
    return scores


def _is_mean_of_tasks(task: str, found: Mapping[str, Any]) -> bool:
    """Whether a row is the mean of others beside it: a group of lm-eval, lighteval's `all` and `_average`."""
    subtasks = (found.get("group_subtasks") or {}).get(task)
    group = task in (found.get("groups") or {}) or bool(subtasks)
    return group or task == "all" or ":_average" in task


def write_harness(
    out: Path,
    summaries: Sequence[SuiteSummary],
    rollouts: Iterable[Rollout],
    *,
    model: str,
    problems: Mapping[str, Sequence[Problem]] = NO_PROBLEMS,
    template: str | None = None,
) -> Path:
    """Write `results_titer.json` and a `samples_SUITE_titer.jsonl` each, in lm-evaluation-harness's layout; the file.

    Metrics are accuracy (avg@k), its standard error from the 95 % interval, termination and parse rate. Hashes say
    whether two results are of the same: `doc_hash` of a problem with its answer (of its prompt, where `problems`, by
    suite, do not hold it), `task_hashes` of a suite's, `chat_template_sha` of the `template`, `code_sha` of titer's own
    source.
    """
    known = {(suite, one.id): _hash(json.dumps(shown(one))) for suite, some in problems.items() for one in some}
    by_suite: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        by_suite.setdefault(rollout.suite, []).append(rollout)
    for suite, rows in by_suite.items():
        lines = [json.dumps(_sample(row, known.get((suite, row.problem_id))), ensure_ascii=False) for row in rows]
        write_text(out / f"samples_{suite}_titer.jsonl", "".join(f"{line}\n" for line in lines))
    results = {
        "results": {one.suite: _aggregated(one) for one in summaries},
        "n-samples": {one.suite: {"original": one.problems, "effective": one.problems} for one in summaries},
        "higher_is_better": {one.suite: {"accuracy": True} for one in summaries},
        "n-shot": {one.suite: 0 for one in summaries},
        "model_name": model,
        "task_hashes": {
            suite: _hash("".join(sorted({known.get((suite, row.problem_id), row.prompt) for row in rows})))
            for suite, rows in by_suite.items()
        },
        "chat_template": template,
        "chat_template_sha": _hash(template) if template else None,
        "titer_version": __version__,
        "code_sha": _code_hash(),
    }
    file = out / RESULTS
    write_text(file, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    return file


def _newest(path: Path) -> Path:
    if not path.exists():
        raise InputError("no such file or folder", file=path, remedy=REMEDY)
    if path.is_file():
        return path
    found = list(path.glob("**/results_*.json"))
    if not found:
        raise InputError("holds no results_*.json", file=path, remedy=REMEDY)
    # lm-eval puts a folder of the model's name between, which says nothing of when; the date in the name does
    return max(found, key=lambda file: (_DATED.search(file.name) is not None, file.name, str(file)))


def _loaded(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"no JSON: {error}", file=file, remedy=REMEDY) from None
    if not isinstance(found, dict) or not isinstance(found.get("results"), dict):
        raise InputError("has no results", file=file, remedy=REMEDY)
    return found


def _score(file: Path, task: str, row: Mapping[str, Any], asked: str, counts: Mapping[str, Any]) -> HarnessScore:
    numbers = [name for name, value in row.items() if _is_number(value) and "_stderr" not in name]
    # lm-eval names a metric with its filter, and puts other numbers beside it; lighteval has metrics alone
    names = [name for name in numbers if "," in name] or numbers
    chosen = next((name for name in names if not asked or asked in (name, name.split(",")[0])), None)
    if chosen is None:
        fault = f"task {task!r} has no metric {asked!r}" if asked else f"task {task!r} has no score"
        raise InputError(fault, file=file, field=f"results.{task}", remedy=f"there are: {', '.join(names) or 'none'}")
    metric, _, kept = chosen.partition(",")
    given: Any = row.get(f"{metric}_stderr,{kept}" if kept else f"{metric}_stderr")
    error = float(given) if _is_number(given) else math.nan
    by_problem = _samples(file, task, metric, kept)
    count = counts.get("effective") or len(by_problem)
    known = 0.0 if math.isnan(error) else error
    for what, number in ((chosen, row[chosen]), ("standard error", known), ("number of problems", count)):
        if not abs(number) <= BIGGEST:  # the square of more may be no number any more
            fault = f"the {what} of task {task!r} is {number:.3g}"
            raise InputError(fault, file=file, field=f"results.{task}", remedy="make the results anew")
    return HarnessScore(task, chosen, float(row[chosen]), error, int(count), by_problem)


def _samples(file: Path, task: str, metric: str, kept: str) -> dict[str, float]:
    """The metric of each document, of the filter that the score is of; nothing where no samples were logged."""
    date = file.stem.removeprefix("results_")
    name = f"samples_{task}_{date}.jsonl"
    if name not in {beside.name for beside in file.parent.iterdir()}:  # a task's name may be no file's
        return {}
    samples = file.with_name(name)
    values: dict[str, list[float]] = {}
    for number, line in enumerate(samples.read_bytes().splitlines(), 1):
        try:
            row = json.loads(line)
            if (row.get("filter", kept) == kept or not kept) and row[metric] is not None:  # None: not graded
                values.setdefault(str(row["doc_hash"]), []).append(float(row[metric]))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            fault = f"is no sample with a doc_hash and {metric}"
            raise InputError(fault, file=samples, row=number, remedy="log the samples again") from None
    return {name: sum(found) / len(found) for name, found in values.items()}


def _aggregated(summary: SuiteSummary) -> dict[str, float | str]:
    low, mid, high = summary.accuracy
    return {
        "alias": summary.suite,
        "accuracy,none": mid,
        "accuracy_stderr,none": (high - low) / (2 * 1.96) if math.isfinite(low) else "N/A",
        "terminated,none": summary.terminated.mid,
        "parsed,none": summary.parsed.mid,
    }


def _sample(rollout: Rollout, problem: str | None) -> dict[str, Any]:
    return {
        "doc_id": rollout.problem_id,
        "doc": {"prompt": rollout.prompt},
        "arguments": {"gen_args_0": {"arg_0": rollout.prompt}},
        "resps": [[rollout.response]],
        "filtered_resps": [rollout.parsed],
        "filter": "none",
        "metrics": ["accuracy"],
        "doc_hash": problem or _hash(rollout.prompt),
        "prompt_hash": _hash(rollout.prompt),
        "accuracy": rollout.score,
    }


@cache
def _code_hash() -> str:
    """Of all of titer's Python files, in the order of their names."""
    root = Path(__file__).parent.parent
    files = sorted(root.rglob("*.py"))
    return _hash("".join(f"{file.relative_to(root)}\n{file.read_text(encoding='utf-8')}" for file in files))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
