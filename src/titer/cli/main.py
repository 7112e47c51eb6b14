"""The `titer` command: one thin function a verb, which parses, calls and prints.

Tables go to stdout for people, `--json` for programs; progress goes to stderr. Exit 0 done, 2 the input is wrong
(one line says where and what to do), 1 we are wrong.
"""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from titer.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Fine-tune language models to reason, and decide by measurement what others leave to habit.",
)
lab = typer.Typer(no_args_is_help=True, help="The lab: a tiny model, its tasks and two synthetic teachers.")
app.add_typer(lab, name="lab")

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the results; a second call goes on there.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Server = Annotated[
    str | None,
    typer.Option(help="Base URL of an OpenAI-compatible server that serves MODEL, e.g. http://127.0.0.1:8000/v1."),
]
Settings = Annotated[list[str] | None, typer.Argument(help="Settings as key=value.", metavar="[KEY=VALUE]...")]


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or a built-in: quickstart, smollm2.")] = "quickstart",
    overrides: Settings = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; by default runs/NAME.")] = None,
    as_json: Json = False,
) -> None:
    """Measure, curate, train, evaluate, judge and report; goes on where it stopped.

    Example: `titer run quickstart train.epochs=1 --out runs/short`
    """
    from titer import verbs
    from titer.recipe import load_recipe

    resolved = load_recipe(recipe, overrides or [])
    folder = out or Path("runs") / resolved.name
    summary = verbs.run(resolved, out=folder, said=_say, progress=True)
    _print_report(folder, summary, as_json)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run directory.", metavar="RUN")],
    as_json: Json = False,
) -> None:
    """Make the report of a run again: report.html, summary.json, tables in the terminal.

    Example: `titer report runs/quickstart`
    """
    from titer import verbs

    _print_report(run, verbs.report(run), as_json)


@app.command()
def sft(
    model: Annotated[str, typer.Argument(help="lab, smollm2, a model folder, a .gguf file or a hub id.")],
    traces: Annotated[
        Path, typer.Argument(help="Traces: .jsonl[.gz|.zst], .parquet or a Hugging Face dataset folder.")
    ],
    settings: Settings = None,
    out: Out = Path("sft"),
    show: Annotated[
        bool, typer.Option("--show", help="Show one rendered sample with trained tokens in green, and stop.")
    ] = False,
    on_bad: Annotated[str, typer.Option(help="What a bad row does: stop or drop (dropped rows are listed).")] = "stop",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fine-tune a model on traces.

    Example: `titer sft lab traces.jsonl epochs=3 learning_rate=1e-4 --out sft`
    """
    from titer import verbs
    from titer.recipe import parse_block

    if show:
        return _print_markup(verbs.show_sample(model, traces))
    result = verbs.sft(
        model,
        traces,
        out=out,
        settings=parse_block("train", settings or []),
        seed=seed,
        on_bad=_choice(on_bad, "--on-bad", "stop", "drop"),
        progress=True,
    )
    for line in result.dropped:
        _say(f"dropped: {line}")
    if as_json:
        return _print_json(result._asdict())
    _print_pairs(result._asdict() | {"dropped": len(result.dropped)})


@app.command()
def measure(
    model: Annotated[str, typer.Argument(help="lab, smollm2, a model folder, a .gguf file or a hub id.")],
    problems: Annotated[Path, typer.Argument(help="Problems with answers.")],
    settings: Settings = None,
    out: Out = Path("measured"),
    server: Server = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure solve rates: how often a model gets each problem right, and the bands they fall into.

    Example: `titer measure lab problems.jsonl samples=16 --out measured`
    """
    from titer import verbs
    from titer.recipe import parse_block

    block = parse_block("measure", settings or [])
    result = verbs.measure(model, problems, out=out, settings=block, server=server, seed=seed, said=_say)
    if as_json:
        rates = [rate._asdict() for rate in result.rates.values()]
        return _print_json({"bands": result.bands, "ungraded": result.ungraded, "rates": rates})
    _print_pairs(
        {
            "problems": len(result.rates),
            **{f"{b} problems": f"{s:.1%}" for b, s in result.bands.items()},
            "ungraded": result.ungraded,
        }
    )


@app.command("eval")
def evaluate(
    model: Annotated[str, typer.Argument(help="lab, smollm2, a model folder, a .gguf file or a hub id.")],
    suites: Annotated[list[Path], typer.Argument(help="Problem files; each is a suite of its name.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Settings as key=value, e.g. samples=8.")] = None,
    out: Out = Path("eval"),
    against: Annotated[
        Path | None, typer.Option(help="The --out of an earlier eval to compare with, problem by problem.")
    ] = None,
    server: Server = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Score a model: avg@k, pass@k, termination, parse rate and length, with intervals.

    Example: `titer eval sft/checkpoints/step-000100 problems.jsonl --out after --against before`
    """
    from dataclasses import asdict

    from titer import verbs
    from titer.recipe import parse_block

    result = verbs.eval(
        model,
        {_suite_name(path): path for path in suites},
        out=out,
        settings=parse_block("evaluate", settings or []),
        server=server,
        against=against,
        seed=seed,
        said=_say,
    )
    if as_json:
        return _print_json(
            {"suites": [asdict(s) for s in result.suites], "differences": [asdict(d) for d in result.differences]}
        )
    _print_scores(result)


@lab.command("build")
def lab_build(
    out: Annotated[Path, typer.Option(help="Folder of the model.")] = Path("lab-base"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Pre-train the lab's base model from scratch (at most 40 minutes on two cores).

    Example: `titer lab build --out lab-base`
    """
    from titer.lab.build import build

    folder = build(out, seed=seed)
    _print_json({"model": str(folder)}) if as_json else _print_pairs({"model": folder})


@lab.command("make")
def lab_make(
    out: Annotated[Path, typer.Option(help="Folder of the files.")] = Path("lab-data"),
    problems: Annotated[int, typer.Option(help="Training problems, three quarters with three numbers.")] = 1000,
    evaluation: Annotated[int, typer.Option(help="Held-out problems of each task.")] = 100,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Write the lab's problems, both teachers' traces and held-out suites as files to try the verbs on.

    Example: `titer lab make --problems 200 --out lab-data`
    """
    from titer.lab import make

    files = make(out, problems=problems, evaluation=evaluation, seed=seed)
    _print_json({"files": [str(file) for file in files]}) if as_json else _print_pairs({f.name: f for f in files})


def main() -> None:
    """Run the command line and turn errors into exit codes."""
    try:
        app(standalone_mode=True)
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _fail(f"{error.filename or 'disk'}: no space left; free some and run the same command again, it goes on")


def _fail(line: str) -> None:
    print(f"titer: {line}", file=sys.stderr)
    raise SystemExit(2)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _choice(value: str, option: str, *allowed: str) -> Any:
    if value not in allowed:
        raise InputError(f"{value!r} for {option}", remedy=f"use one of: {', '.join(allowed)}")
    return value


def _suite_name(path: Path) -> str:
    return path.name.split(".")[0]


def _print_json(value: Any) -> None:
    from titer.cli.plain import plain

    print(json.dumps(plain(value), ensure_ascii=False))


def _print_pairs(pairs: dict[str, Any]) -> None:
    width = max(len(name) for name in pairs)
    for name, value in pairs.items():
        print(f"{name.replace('_', ' '):<{width}}  {value}")


def _print_markup(text: str) -> None:
    from rich.console import Console

    Console().print(text, soft_wrap=True)


def _print_report(folder: Path, summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return _print_json(summary)
    from rich.console import Console

    from titer.pipeline.report import gather
    from titer.report import show

    show(gather(folder), Console())
    print(f"\nreport: {summary['report']}")


def _print_scores(result: Any) -> None:
    from rich.console import Console

    from titer.report import ReportData, show

    show(ReportData(title="eval", suites=result.suites, differences=result.differences), Console())


if __name__ == "__main__":
    main()
