"""The `titer` command: one thin function a verb, which parses, calls and prints.

Tables go to stdout for people, `--json` for programs; progress goes to stderr. Exit 0 done, 2 the input is wrong
(one line says where and what to do), 1 we are wrong.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from titer.cli import evaluation, stages, traces
from titer.cli.faults import UsageError, system_fault, usage_line
from titer.cli.printing import on_bad_choice, print_json, print_pairs, say, say_dropped
from titer.cli.settings import listing
from titer.cli.types import Json, OnBad, Out, Seed, Server, Settings
from titer.errors import InputError, harmless
from titer.processes import is_main
from titer.processes import launched as processes

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Fine-tune language models to reason, and decide by measurement what others leave to habit.",
)
lab = typer.Typer(no_args_is_help=True, help="The lab: a tiny model, its tasks and two synthetic teachers.")
app.add_typer(lab, name="lab")
app.add_typer(traces.app, name="traces")


SPEAKS_FIRST = 5.0  # seconds
INTERRUPTED = 130  # the status after Ctrl-C


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"titer {version('titer')}")
        raise typer.Exit


@app.callback()
def several(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and stop.")
    ] = False,
) -> None:
    """Refuse what several processes would do several times over in one folder."""
    if processes() > 1 and context.invoked_subcommand not in {"sft", "launched"}:
        raise InputError(
            f"{processes()} processes for {context.invoked_subcommand}, which works in one",
            remedy="start it without a launcher; sft takes several, and a run starts them with train.launch",
        )


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or quickstart, sft, smollm2.")] = "quickstart",
    overrides: Settings = None,
    out: Annotated[
        str | None, typer.Option(help="Run directory, or an address such as s3://bucket/run; by default runs/NAME.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure, curate, train, evaluate, judge and report; goes on where it stopped.

    Example: `titer run sft train.epochs=1 --out runs/short`
    """
    from titer import verbs
    from titer.recipe import load_recipe

    resolved = load_recipe(recipe, overrides or [])
    if out and Path(out).is_file():
        raise InputError(f"{out!r} is a file", field="--out", remedy="give a folder, or an address")
    summary = verbs.run(resolved, out=out, said=say, progress=True)
    _print_report(Path(summary["report"]).parent, summary, as_json)


@app.command()
def doctor(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or quickstart, sft, smollm2.")] = "quickstart",
    overrides: Settings = None,
    length: Annotated[int, typer.Option(help="Tokens of a sample for which memory is predicted.")] = 512,
    measure: Annotated[bool, typer.Option("--measure", help="Train for two updates, and measure the memory.")] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Train and sample for less than a minute, and say how long a run takes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what this machine can do: devices, engines, memory for a model and length, disk, and the time of a run.

    Example: `titer doctor quickstart --probe`, `titer doctor quickstart model=smollm2 --length 256 --measure`
    """
    from titer import verbs
    from titer.cli.doctoring import doctor_json, show_doctor
    from titer.recipe import load_recipe

    result = verbs.doctor(load_recipe(recipe, overrides or []), length=length, measure=measure, probe=probe)
    print_json(doctor_json(result)) if as_json else show_doctor(result)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="A run directory, or its address.", metavar="RUN")],
    other: Annotated[
        str | None, typer.Argument(help="A second run, to hold against the first.", metavar="OTHER")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The page of two runs, by default compare.html in the current folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the report of a run again: report.html, summary.json, tables in the terminal. Or compare two runs.

    Of two runs: what differs in recipes and decisions, and OTHER − RUN on the problems that both evaluated, with paired
    intervals. The page is `--out`; the runs stay as they are.

    Example: `titer report runs/quickstart`, `titer report runs/first runs/second --out compare.html`
    """
    from titer import verbs

    if other is not None:
        return _print_two_runs(run, other, out, as_json)
    summary = verbs.report(run, out=out)
    _print_report(Path(summary["report"]).parent, summary, as_json)


@app.command(cls=listing("train", but={"launch"}))
def sft(
    model: Annotated[str, typer.Argument(help="lab, smollm2, a model folder, a .gguf file or a hub id.")],
    traces: Annotated[
        Path, typer.Argument(help="Traces: .jsonl[.gz|.zst], .parquet or a Hugging Face dataset folder.")
    ],
    settings: Settings = None,
    out: Out = Path("sft"),
    show: Annotated[
        bool,
        typer.Option("--show", help="Show one rendered sample, its trained tokens green between ⟦ and ⟧, and stop."),
    ] = False,
    on_bad: OnBad = "stop",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fine-tune a model on traces.

    Example: `titer sft lab traces.jsonl epochs=3 learning_rate=1e-4 --out sft`
    """
    from titer import verbs
    from titer.recipe import parse_block

    block, bad = parse_block("train", settings or []), on_bad_choice(on_bad)
    if show:
        return _print_shown(verbs.show_sample(model, traces, settings=block, on_bad=bad), as_json)
    result = verbs.sft(model, traces, out=out, settings=block, seed=seed, on_bad=bad, progress=True)
    say_dropped(result.dropped)
    if as_json:
        return print_json(result._asdict())
    print_pairs(result._asdict() | {"dropped": len(result.dropped)})


@app.command(cls=listing("measure", but={"problems"}, sampled=True))
def measure(
    model: Annotated[str, typer.Argument(help="lab, smollm2, a model folder, a .gguf file or a hub id.")],
    problems: Annotated[Path, typer.Argument(help="Problems with answers; with --prior: traces.")],
    settings: Settings = None,
    out: Out = Path("measured"),
    server: Server = None,
    prior: Annotated[
        bool, typer.Option("--prior", help="Measure how likely the model finds the tokens of traces instead.")
    ] = False,
    on_bad: OnBad = "stop",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure solve rates: how often a model gets each problem right, and the bands they fall into.

    Example: `titer measure lab problems.jsonl --out measured`, `titer measure lab traces.jsonl --prior`
    """
    from titer import verbs
    from titer.recipe import parse_block, parse_sampled

    if prior:
        if server:
            raise InputError("--prior asks a model in this process", field="--server", remedy="leave --server out")
        chooser = parse_block("choose", settings or [])
        found = verbs.prior(model, problems, out=out, settings=chooser, seed=seed, on_bad=on_bad_choice(on_bad))
        return _print_prior(found, as_json)
    block, generate = parse_sampled("measure", settings or [])
    result = verbs.measure(
        model,
        problems,
        out=out,
        settings=block,
        generate=generate,
        server=server,
        seed=seed,
        on_bad=on_bad_choice(on_bad),
        said=say,
    )
    say_dropped(result.dropped)
    if as_json:
        return print_json(result._asdict() | {"rates": [rate._asdict() for rate in result.rates.values()]})
    print_pairs(
        {
            "problems": len(result.rates),
            "rollouts": result.rollouts,
            **{f"{b} problems": f"{s:.1%}" for b, s in result.bands.items()},
            "ungraded": result.ungraded,
            "dropped": len(result.dropped),
        }
    )


def _print_prior(found: Any, as_json: bool) -> None:
    say_dropped(found.dropped)
    if as_json:
        rows = {name: one._asdict() for name, one in found.priors.items()}
        return print_json({"priors": rows, "choice": found.choice._asdict(), "dropped": len(found.dropped)})
    for name, one in found.priors.items():
        low, mid, high = one.mean_p
        likely = f"{one.likely.mid:.1%} of tokens above .55"
        print(f"{name}: mean p {mid:.3f} [{low:.3f}, {high:.3f}], {likely}, entropy {one.entropy.mid:.3f} nats,")
        print(f"    {one.traces} traces of {one.tokens:,} tokens")
    print(f"objective: {found.choice.objective or 'a trial has to tell'} ({found.choice.rule})")


@app.command()
def reproduce(
    name: Annotated[
        str, typer.Argument(help="The finding: branching, continuum, repetition, stages, recovery; or all of them.")
    ],
    seeds: Annotated[int, typer.Option(help="Repetitions, each with its own problems and samples.")] = 5,
    jobs: Annotated[int | None, typer.Option(help="Processes at a time; by default as many as cores.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the jobs, by default runs/reproduce-NAME; a second call goes on there. Of all: of these."
        ),
    ] = None,
    scale: Annotated[
        str, typer.Option(help="lab, or smollm2: SmolLM2-135M, taught the lab's tasks first. Made for a GPU.")
    ] = "lab",
    show: Annotated[
        bool, typer.Option("--show", help="Print the finished table that comes with titer, and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try a paper's finding in the lab: each claim with the difference found, its interval and a verdict.

    Example: `titer reproduce branching --seeds 5 --jobs 2`, `titer reproduce all --show`
    """
    from titer import reproduce as room

    how: dict[str, Any] = {"seeds": seeds, "jobs": jobs, "scale": scale, "said": say}
    try:
        if show:
            table = room.stored_all(scale) if name == "all" else room.stored(name, scale)
        elif name == "all":
            table = room.reproduce_all(out=out or "runs", **how)
        else:
            table = room.reproduce(name, out=out, **how)
    except room.JobError as error:
        say(f"titer: {error}")
        raise typer.Exit(1) from None
    if as_json:
        return print_json(table)
    _print_table(table)


@lab.command("build")
def lab_build(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the model.")] = Path("lab-base"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Pre-train the lab's base model from scratch (at most 40 minutes on two cores).

    Example: `titer lab build --out lab-base`
    """
    from titer.lab.build import build

    folder = build(out, seed=seed)
    print_json({"model": str(folder)}) if as_json else print_pairs({"model": folder})


@app.command(hidden=True)
def launched(work: Annotated[Path, typer.Argument(help="The folder of the training.")]) -> None:
    """Train what a run has laid out in a folder; the run itself starts this with `train.launch`."""
    from titer.pipeline.training.launching import given
    from titer.pipeline.training.train import train_model

    recipe, traces, unseen = given(work)
    train_model(recipe, traces, unseen, work, progress=True)


@lab.command("make")
def lab_make(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the files.")] = Path("lab-data"),
    problems: Annotated[int, typer.Option(min=1, help="Training problems, three quarters with three numbers.")] = 1000,
    evaluation: Annotated[int, typer.Option(min=1, help="Held-out problems of each task.")] = 100,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Write the lab's problems, both teachers' traces and held-out suites as files to try the verbs on.

    Example: `titer lab make --problems 200 --out lab-data`
    """
    from titer.lab import make

    files = make(out, problems=problems, evaluation=evaluation, seed=seed)
    print_json({"files": [str(file) for file in files]}) if as_json else print_pairs({f.name: f for f in files})


app.command(cls=listing("route"))(stages.route)
app.command(cls=listing("bridge", sampled=True))(stages.bridge)
app.command(cls=listing("rl"))(stages.rl)
app.command(cls=listing("critique", sampled=True))(stages.critique)
app.command("eval", cls=listing("evaluate", but={"checkpoints", "tokens", "minutes", "kl"}, sampled=True))(
    evaluation.evaluate
)
for verb in (evaluation.judge, evaluation.verdict):
    app.command()(verb)


def main() -> None:
    """Run the command line and turn errors into exit codes."""
    try:
        code = app(prog_name="titer", standalone_mode=False)
    except InputError as error:
        _fail(str(error))
    except UsageError as error:
        line = usage_line(error)
        _fail(line) if line else sys.exit(2)
    except Exception as error:
        line = system_fault(error)
        if line is None:
            raise
        sys.unraisablehook = lambda _: None  # what a failed write leaves open fails once more as it is collected
        _fail(line)
    else:
        if code == INTERRUPTED:
            say("titer: stopped; the same command goes on")
        sys.exit(code)


def _fail(line: str) -> None:
    if not is_main():  # the main process says it too, and its launcher then ends the others
        time.sleep(SPEAKS_FIRST)
        print(f"titer: process {os.environ['RANK']}: {harmless(line)}", file=sys.stderr, flush=True)
    say(f"titer: {line}")
    raise SystemExit(2)


def _print_shown(shown: Any, as_json: bool) -> None:
    say_dropped(shown.dropped)
    if as_json:
        return print_json({name: value for name, value in shown._asdict().items() if name not in {"text", "dropped"}})
    from rich.console import Console

    if is_main():
        Console().print(shown.text, soft_wrap=True)


def _print_table(table: dict[str, Any]) -> None:
    from rich.console import Console

    from titer.reproduce.terminal import show

    show(table, Console())


def _print_report(folder: Path, summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return print_json(summary)
    from rich.console import Console

    from titer.pipeline.reporting.gather import gather
    from titer.report import show

    show(gather(folder, to_read=False), Console())
    print(f"\nreport: {summary['report']}")


def _print_two_runs(run: str, other: str, out: Path | None, as_json: bool) -> None:
    from rich.console import Console

    from titer import verbs
    from titer.report import show_two_runs

    found, summary = verbs.compare_runs(run, other, out=out)
    if as_json:
        return print_json(summary)
    show_two_runs(found, Console())
    print(f"\nreport: {summary['report']}")


if __name__ == "__main__":
    main()
