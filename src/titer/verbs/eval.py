"""Scores of a model on files of problems, and its paired comparison with an earlier evaluation.

result = eval("sft/checkpoints/step-000100", {"countdown": "problems.jsonl"}, out="after", against="before")
result.suites[0].accuracy, result.differences[0].change
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.evaluate import Difference, SuiteSummary, compare, summarise, with_guessing
from titer.evaluate.backend import require_harness, run_harness
from titer.evaluate.harness import RESULTS, HarnessScore, read_harness, write_harness
from titer.generate.protocol import Sampling
from titer.models import as_folder, describe_model
from titer.pipeline.alone import alone
from titer.pipeline.data import Suite
from titer.pipeline.evaluation.evaluating import sampling_by
from titer.pipeline.evaluation.judging import Asked, halves_of
from titer.pipeline.sampling import progress_lines
from titer.recipe import SAMPLED, Evaluate, Generate
from titer.recipe.block import is_folder_name
from titer.records import Problem, Rollout, read_rollouts
from titer.records.reading import OnBad
from titer.rollouts import collect, model_identity
from titer.rollouts.claim import hash_of
from titer.verbs.alike import (
    as_stored,
    refuse_changed_problems,
    refuse_other_problems,
    refuse_other_sampling,
    refuse_unfinished,
)
from titer.verbs.idle import all_but, refuse_idle
from titer.verbs.reading import checked_problems
from titer.verbs.sampling import open_generator
from titer.verify import Grader


class EvalResult(NamedTuple):
    """A summary a suite, the differences from the evaluation it was held against, dropped rows, scores of lm-eval."""

    suites: list[SuiteSummary]
    differences: list[Difference]
    dropped: list[str]
    harness: Sequence[HarnessScore] = ()


@alone
def eval(
    model: str,
    suites: Mapping[str, str | Path],
    *,
    out: str | Path,
    settings: Evaluate | None = None,
    generate: Generate | None = None,
    server: str | None = None,
    against: str | Path | None = None,
    harness: Sequence[str] = (),
    limit: int | None = None,
    include: str | Path | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
    said: Callable[[str], None] = lambda _: None,
) -> EvalResult:
    """Sample and grade every suite (name → problem file), writing `SUITE.rollouts.jsonl` into `out`; resumes there.

    Beside them stand the scores in lm-evaluation-harness's layout (`results_titer.json`, `samples_SUITE_titer.jsonl`).

    `harness` names tasks of lm-evaluation-harness that are run too, in `out/harness`: at most `limit` problems of each,
    with the task files of a folder `include`. Adapters and GGUF files are written out whole for it; a model with a chat
    template is asked through it, as titer asks it.

    `against` is the `out` of another evaluation of the same suites; what only one of the two has is left out, and named
    in `left_out` of each difference. Raises InputError for what `read_problems` and the verifiers refuse (with
    `on_bad="drop"` such rows are listed in the result), and, before anything is sampled, when the two share no problem,
    or the other one was not finished, sampled otherwise, or has other problems by the same ids.
    """
    sampled = all_but(Evaluate, "samples", *SAMPLED)
    refuse_idle(settings, sampled, "it is for the checkpoints of a run")
    settings, generate, folder = settings or Evaluate(), generate or Generate(), Path(out)
    for option, value in (("limit", limit), ("include", include)):
        if value is not None and not harness:
            fault = "it is for tasks of lm-eval, and there are none"
            raise InputError(fault, field=option, remedy="add --harness TASK")
    if against and not suites:
        raise InputError("no suite to compare", field="against", remedy="give problem files, or leave it out")
    for name in suites:
        if not is_folder_name(name):
            raise InputError(f"suite {name!r} names no file", field="suites", remedy="no / or \\, and no dot in front")
    if harness and server:
        raise InputError(
            "a server, and tasks of lm-eval", field="harness", remedy="give a model folder or hub id alone"
        )
    if harness:
        require_harness()
    dropped: list[InputError] = []
    problems = {name: checked_problems(file, on_bad, dropped) for name, file in suites.items()}
    sampling = sampling_by(settings, seed)
    earlier = _earlier(Path(against), problems, sampling) if against else []
    rollouts = _sampled(model, server, problems, settings.samples, sampling, generate, folder, said) if problems else []
    halves = halves_of(Suite(name, "", some) for name, some in problems.items())
    summaries = with_guessing(summarise(rollouts, halves=halves), problems)
    if rollouts:
        template = None if server else _chat_template(model)
        write_harness(folder, summaries, rollouts, model=model, problems=problems, template=template)
    differences = compare(earlier, rollouts, halves=halves) if against else []
    suitewise = [difference for difference in differences if difference.level == "suite"]
    scores = _by_harness(model, harness, folder / "harness", limit, include, seed) if harness else []
    return EvalResult(summaries, suitewise, [str(error) for error in dropped], scores)


def _sampled(
    model: str,
    server: str | None,
    suites: Mapping[str, Sequence[Problem]],
    samples: int,
    sampling: Sampling,
    generate: Generate,
    folder: Path,
    said: Callable[[str], None],
) -> list[Rollout]:
    """The graded rollouts of all suites, in a file each."""
    generator = open_generator(model, generate, server)
    (folder / RESULTS).unlink(missing_ok=True)  # of an earlier call: written last, it says that this one is finished
    rollouts: list[Rollout] = []
    with Grader() as grader:
        for name, problems in suites.items():
            rollouts += collect(
                generator,
                problems,
                samples=samples,
                sampling=sampling,
                grader=grader,
                out=folder / f"{name}.rollouts.jsonl",
                suite=name,
                model=model_identity(model, server),
                chunk=generate.chunk,
                said=progress_lines(said, name),
            )
    return rollouts


def _chat_template(model: str) -> Any:
    return getattr(describe_model(model).tokenizer, "chat_template", None)


def _by_harness(
    model: str, tasks: Sequence[str], out: Path, limit: int | None, include: str | Path | None, seed: int
) -> list[HarnessScore]:
    weights = as_folder(model)
    run_harness(
        weights.path,
        tasks,
        out=out,
        templated=bool(_chat_template(model)),
        limit=limit,
        include=Path(include) if include else None,
        seed=seed,
    )
    return read_harness(out)


def _earlier(folder: Path, suites: Mapping[str, Sequence[Problem]], sampling: Sampling) -> list[Rollout]:
    """The rollouts of an earlier evaluation. Raises InputError when there are none of these problems, or it cannot be
    compared with what is asked for."""
    files = [folder / f"{name}.rollouts.jsonl" for name in suites]
    found = [rollout for file in files if file.exists() for rollout in read_rollouts(file)]
    prompts = {Asked(name, problem.id): problem.prompt for name, some in suites.items() for problem in some}
    if not any(Asked(rollout.suite, rollout.problem_id) in prompts for rollout in found):
        what = "none of these problems" if found else f"no rollouts of {', '.join(suites)}"
        raise InputError(f"holds {what}", file=folder, remedy="give the --out of another titer eval")
    refuse_unfinished(folder, found)
    refuse_other_problems(folder, found, prompts, other="this call")
    hashes = {Asked(name, problem.id): hash_of(problem) for name, some in suites.items() for problem in some}
    refuse_changed_problems(folder, hashes, other="this call")
    refuse_other_sampling(folder, dict.fromkeys(suites, as_stored(sampling)), other="this call")
    return found
