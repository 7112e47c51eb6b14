"""`titer eval`, `judge` and `verdict`: scores of models, whether answers refuse, whether it is time to judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from titer.cli.printing import on_bad_choice, print_json, print_pairs, say, say_dropped
from titer.cli.types import Json, OnBad, Out, Seed, Server
from titer.errors import InputError


def evaluate(
    model: Annotated[str, typer.Argument(help="lab, smollm2, a model folder, a .gguf file or a hub id.")],
    suites: Annotated[
        list[str] | None,
        typer.Argument(help="Problem files, each a suite of its name; or settings as key=value."),
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Settings as key=value, e.g. samples=8.")] = None,
    out: Out = Path("eval"),
    against: Annotated[
        Path | None, typer.Option(help="The --out of an earlier eval to compare with, problem by problem.")
    ] = None,
    server: Server = None,
    harness: Annotated[str, typer.Option(help="Tasks of lm-evaluation-harness to run too, with commas between.")] = "",
    limit: Annotated[int | None, typer.Option(help="At most so many problems of each of these.")] = None,
    include: Annotated[Path | None, typer.Option(help="Folder of task files of the harness.")] = None,
    on_bad: OnBad = "stop",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Score a model: avg@k, pass@k, termination, parse rate and length, with intervals.

    Example: `titer eval sft/checkpoints/step-000100 problems.jsonl --out after --against before`
    """
    from dataclasses import asdict

    from titer import verbs
    from titer.recipe import parse_sampled

    given = [one for one in suites or [] if "=" in one and not Path(one).exists()]
    files = [Path(one) for one in suites or [] if one not in given]
    block, generate = parse_sampled("evaluate", [*given, *(settings or [])])
    tasks = [task for task in harness.split(",") if task]
    if not files and not tasks:
        raise InputError("nothing to evaluate on", field="suites", remedy="give problem files, or --harness TASK")
    result = verbs.eval(
        model,
        _suites(files),
        out=out,
        settings=block,
        generate=generate,
        server=server,
        against=against,
        harness=tasks,
        limit=limit,
        include=include,
        seed=seed,
        on_bad=on_bad_choice(on_bad),
        said=say,
    )
    say_dropped(result.dropped)
    for difference in result.differences:
        if difference.measure == "accuracy" and difference.left_out:
            _say_left_out(difference)
    if as_json:
        tables = {"suites": [asdict(s) for s in result.suites], "differences": [asdict(d) for d in result.differences]}
        return print_json(tables | {"dropped": result.dropped, "harness": [s._asdict() for s in result.harness]})
    if result.suites:
        _print_scores(result)
    if result.harness:
        print_pairs(
            {score.task: f"{score.metric} {score.value:.3f}, error {score.error:.3f}" for score in result.harness}
        )


def judge(
    answers: Annotated[
        Path, typer.Argument(help="Rows of prompt, response and should_refuse: .jsonl, .csv, .parquet.")
    ],
    server: Annotated[
        str | None,
        typer.Option(help="Base URL of an OpenAI-compatible server whose model judges instead of the rules."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of that model.")] = "",
    cache: Annotated[
        Path | None, typer.Option(help="File that keeps its answers; a second call goes on there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say of answers whether they refuse, and whether they should have; the thinking is judged by itself.

    Example: `titer judge answers.jsonl --server http://127.0.0.1:8000/v1 --model Qwen3-32B`
    """
    from titer import verbs

    result = verbs.judge(answers, server=server, model=model, cache=cache, said=say)
    if as_json:
        return print_json(result._asdict() | {"rows": [row._asdict() for row in result.rows]})
    pairs: dict[str, Any] = {label.replace("_", " "): count for label, count in result.totals.items()}
    pairs |= {"refused of what should be": _share(result.refused_of_harmful)}
    pairs |= {"answered of what should be": _share(result.answered_of_harmless)}
    if result.agreement is not None:
        pairs |= {"agreement with the rules": f"{_share(result.agreement)}, kappa {result.kappa:.2f}"}
    print_pairs(pairs)


def verdict(
    checkpoints: Annotated[
        list[str], typer.Argument(help="A run directory, or UPDATE=EVALUATION of base (0) and checkpoints.")
    ],
    axis: Annotated[list[str] | None, typer.Option(help="Axis of a suite or task, as NAME=AXIS.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Metric of a harness's task, as NAME=METRIC.")] = None,
    as_json: Json = False,
) -> None:
    """Say what became of each axis, and whether it is too early to judge. Evaluations are those of `titer eval`, or
    results of lm-eval or lighteval.

    Example: `titer verdict 0=before 80=middle 640=after --axis countdown3=in_domain --axis guarded=safety`
    """
    from dataclasses import asdict

    from rich.console import Console

    from titer import verbs
    from titer.report import ReportData, show

    judgement = verbs.verdict(
        _judged(checkpoints), axes=_pairs(axis or [], "--axis"), metrics=_pairs(metric or [], "--metric")
    )
    if as_json:
        return print_json(asdict(judgement))
    show(ReportData(title="verdict", judgement=judgement), Console())


def _judged(given: list[str]) -> str | dict[int, str]:
    """A run directory, whose name may hold a =, or evaluations by update."""
    first = given[0]
    step, pair, _ = first.partition("=")
    if len(given) == 1 and (Path(first).exists() or not pair or not _is_update(step)):
        return first
    evaluations: dict[int, str] = {}
    for step, path in _pairs(given, "checkpoints").items():
        if (update := _update(step)) in evaluations:
            raise InputError(f"update {update} comes twice", field="checkpoints", remedy="leave one of them out")
        evaluations[update] = path
    return evaluations


def _pairs(given: list[str], option: str) -> dict[str, str]:
    """NAME=VALUE by name. Raises InputError for a name that comes twice."""
    for place, one in enumerate(given):
        if one.partition("=")[0] in [other.partition("=")[0] for other in given[:place]]:
            fault = f"{one.partition('=')[0]!r} comes twice"
            raise InputError(fault, field=option, remedy="leave one of them out")
        if "=" not in one:
            raise InputError(f"{one!r} is no NAME=VALUE", field=option, remedy="write both, with = between them")
    return dict(one.split("=", 1) for one in given)


def _is_update(step: str) -> bool:
    return step.isascii() and step.isdigit()  # ² is a digit, too


def _update(step: str) -> int:
    if not _is_update(step):
        raise InputError(
            f"{step!r} is no update", field="checkpoints", remedy="write UPDATE=EVALUATION, such as 640=after"
        )
    return int(step)


def _share(value: float) -> str:
    return "no such rows" if value != value else f"{value:.1%}"  # noqa: PLR0124 - nan


def _suites(files: list[Path]) -> dict[str, Path]:
    """The files by the name of their suite, which two must not share."""
    suites: dict[str, Path] = {}
    for file in files:
        name = file.name.split(".")[0]
        if name in suites:
            raise InputError(f"{suites[name]} and {file} are both suite {name!r}", remedy="rename one of the files")
        suites[name] = file
    return suites


def _say_left_out(difference: Any) -> None:
    names = difference.left_out
    first = ", ".join(repr(name) for name in names[:3]) + (", …" if len(names) > 3 else "")
    say(
        f"{difference.suite}: the change is over the {difference.problems:,} problems that both have graded; "
        f"{len(names):,} left out: {first}"
    )


def _print_scores(result: Any) -> None:
    from rich.console import Console

    from titer.report import ReportData, show

    show(ReportData(title="eval", suites=result.suites, differences=result.differences), Console())
