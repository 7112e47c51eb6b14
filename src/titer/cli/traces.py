"""`titer traces …`: what a file of traces holds, and which of them to keep."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from titer.cli.printing import choice, on_bad_choice, print_json, print_pairs, say, say_dropped
from titer.cli.types import Json, OnBad, Seed
from titer.errors import harmless

app = typer.Typer(no_args_is_help=True, help="Look into reasoning traces, and choose among them.")

File = Annotated[Path, typer.Argument(help="Traces: .jsonl[.gz|.zst], .parquet or a Hugging Face dataset folder.")]
Problems = Annotated[Path | None, typer.Option(help="Problems with answers, to verify the traces by.")]


@app.command()
def measure(
    file: File,
    out: Annotated[Path | None, typer.Option(help="Parquet file for a row of features a trace.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="Measure a folder's files on a Ray cluster: auto, an address, or local; --out is a folder."),
    ] = None,
    on_bad: OnBad = "stop",
    as_json: Json = False,
) -> None:
    """Count steps, behaviours, branches, dead ends and repetitions of every trace; means by teacher.

    Example: `titer traces measure traces.jsonl --out features.parquet`
    """
    from titer.traces import DESCRIPTIONS
    from titer.verbs import traces

    workers = workers or os.cpu_count() or 1
    result = traces.measure(file, out=out, workers=workers, cluster=cluster, on_bad=on_bad_choice(on_bad))
    say_dropped(result.dropped)
    if as_json:
        return print_json(result._asdict() | {"dropped": len(result.dropped)})
    rows = [[name, *(means[name] for means in result.means.values())] for name in DESCRIPTIONS]
    _print_table(f"{result.traces} traces", ["mean of", *_short(list(result.means))], rows)


@app.command("filter")
def filter_(
    file: File,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for kept, control and dropped traces.")],
    by: Annotated[str, typer.Option(help="What to rank by: a feature, step_ratio, or none.")] = "cue_share",
    keep: Annotated[
        float | None,
        typer.Option(
            help="Share kept after ranking, above 0 and at most 1; 0.9 where this says nothing. Traces that have none "
            "of what is ranked by stay."
        ),
    ] = None,
    problems: Problems = None,
    verified: Annotated[bool, typer.Option("--verified", help="Keep only traces whose answer verifies.")] = False,
    finished: Annotated[bool, typer.Option(help="Drop cut and empty traces.")] = True,
    per_problem: Annotated[int | None, typer.Option(min=1, help="At most this many traces a problem.")] = None,
    shortest: Annotated[int | None, typer.Option(min=1, help="Fewest characters of reasoning.")] = None,
    longest: Annotated[int | None, typer.Option(min=1, help="Most characters of reasoning.")] = None,
    near: Annotated[
        float | None, typer.Option(min=0.05, max=1.0, help="Drop near-duplicate problems at this Jaccard similarity.")
    ] = None,
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="Evaluation problems; traces of problems like them are dropped.")
    ] = None,
    paired_with: Annotated[str, typer.Option(help="Convergent teacher that step_ratio compares with.")] = "",
    seed: Seed = 0,
    cluster: Annotated[
        str | None,
        typer.Option(help="Filter a folder's files on a Ray cluster: auto, an address, or local; kept is a folder."),
    ] = None,
    on_bad: OnBad = "stop",
    as_json: Json = False,
) -> None:
    """Keep the traces that teach; list every other with its reason; draw a random control of the same size.

    Example: `titer traces filter traces.jsonl --by cue_share --keep 0.9 --out kept`
    """
    from titer.verbs import traces

    result = traces.filter(
        file,
        out=out,
        by=by,
        keep=keep,
        problems=problems,
        verified=verified,
        finished=finished,
        per_problem=per_problem,
        shortest=shortest,
        longest=longest,
        near=near,
        evaluation=evaluation or [],
        paired_with=paired_with,
        seed=seed,
        cluster=cluster,
        on_bad=on_bad_choice(on_bad),
    )
    say_dropped(result.dropped)
    if as_json:
        return print_json(result._asdict() | {"dropped": len(result.dropped)})
    lines: dict[str, Any] = {"kept": result.kept, **{f"dropped: {rule}": n for rule, n in result.rules.items()}}
    if by != "none":
        lines[f"largest {by} kept"] = _number(result.cutoff)
    if result.unranked:
        lines["without a rank, kept"] = result.unranked
    if not math.isnan(result.length_overlap):
        share = f"{100 * result.length_overlap:.0f} % of those dropped for branching are among them"
        lines["by length alone"] = f"those over {result.length_cutoff:,} characters; {share}"
    lines["random control"] = f"{result.kept} traces in {result.files[1]}"
    print_pairs(lines)


@app.command()
def compare(
    file: File,
    a: Annotated[str, typer.Option(help="One teacher: its name or a part of it.")],
    b: Annotated[str, typer.Option(help="The other teacher.")],
    by: Annotated[
        str, typer.Option(help="What they are names of: teacher, or a key of the traces' meta, such as source.")
    ] = "teacher",
    only: Annotated[str, typer.Option(help="solved: problems that both solved; all: every shared problem.")] = "solved",
    model: Annotated[
        str | None, typer.Option(help="Compare this model's token losses on the traces too: lab, a folder, a hub id.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the comparison with pictures as one HTML page.")] = None,
    seed: Seed = 0,
    on_bad: OnBad = "stop",
    as_json: Json = False,
) -> None:
    """Compare two teachers, paired over the problems they share: every feature with its interval.

    Example: `titer traces compare traces.jsonl --a R1-Distill --b gpt-oss`
    """
    from titer.verbs import traces

    result = traces.compare(
        file,
        a=a,
        b=b,
        by=by,
        only=choice(only, "--only", "solved", "all"),
        model=model,
        html=html,
        seed=seed,
        on_bad=on_bad_choice(on_bad),
    )
    say_dropped(result.dropped)
    if as_json:
        return print_json(traces.comparison_json(result.comparison))
    from rich.console import Console

    from titer.pipeline.reporting.reading import as_teachers
    from titer.report import show_comparison

    show_comparison(as_teachers(result.comparison), Console())
    if html:
        print(f"\npage: {html}")


@app.command()
def label(
    file: File,
    out: Annotated[Path, typer.Option(help="JSON lines: id and steps of each trace, with what each step does.")],
    server: Annotated[
        str | None, typer.Option(help="Base URL of an OpenAI-compatible server to judge the steps; else rules do.")
    ] = None,
    model: Annotated[str, typer.Option(help="The model that the server serves.")] = "",
    on_bad: OnBad = "stop",
    as_json: Json = False,
) -> None:
    """Say what every step of every trace does, by rules or by an LLM judge, and how far the two agree.

    Example: `titer traces label traces.jsonl --out steps.jsonl --server http://127.0.0.1:8000/v1 --model Qwen3-32B`
    """
    from titer.verbs import traces

    bad = on_bad_choice(on_bad)
    result = traces.label(file, out=out, server=server, model=model, on_bad=bad, said=say)
    say_dropped(result.dropped)
    if as_json:
        return print_json(result._asdict() | {"dropped": len(result.dropped)})
    pairs: dict[str, Any] = {"traces": result.traces, "steps": result.steps, **result.behaviours}
    if result.agreement is not None:
        pairs |= {"unreadable": result.unreadable, "agreement with rules": f"{result.agreement:.1%}"}
        pairs |= {"kappa": f"{result.kappa:.2f}"}
    print_pairs(pairs)


@app.command()
def show(
    file: File,
    id: Annotated[str | None, typer.Option(help="Show the first trace whose id contains this.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Show the first trace by a teacher like this.")] = None,
    on_bad: OnBad = "stop",
    as_json: Json = False,
) -> None:
    """Show one trace, its steps coloured by what they do, abandoned lines dimmed; --json gives long ones whole.

    Example: `titer traces show traces.jsonl --teacher R1`
    """
    from titer.verbs import traces

    shown = traces.show(file, id=id, teacher=teacher, on_bad=on_bad_choice(on_bad))
    say_dropped(shown.dropped)
    if as_json:
        return print_json({"id": shown.trace.id, "steps": [step._asdict() for step in shown.steps]})
    from rich.console import Console

    from titer.report import show_steps

    show_steps(f"{shown.trace.id}  {shown.trace.teacher}".strip(), shown.steps, Console())


@app.command()
def prune(
    file: File,
    out: Annotated[Path, typer.Option(help="File for the candidates.")],
    problems: Problems = None,
    on_bad: OnBad = "stop",
    as_json: Json = False,
) -> None:
    """Write candidates without abandoned lines, where nothing that stays refers to them and the answer verifies.

    Example: `titer traces prune traces.jsonl --problems problems.jsonl --out pruned.jsonl`
    """
    from titer.verbs import traces

    result = traces.prune(file, out=out, problems=problems, on_bad=on_bad_choice(on_bad))
    say_dropped(result.dropped)
    if as_json:
        return print_json(result._asdict() | {"dropped": len(result.dropped)})
    refusals = {f"none: {reason}": count for reason, count in result.refused.items()}
    print_pairs({"candidates": result.candidates, "none: answer does not verify": result.wrong, **refusals})


@app.command()
def delete(
    file: File,
    out: Annotated[Path, typer.Option(help="File for the traces without those steps.")],
    rate: Annotated[float, typer.Option(help="Chance of each step to go, above 0 and at most 1.")] = 0.1,
    seed: Seed = 0,
    on_bad: OnBad = "stop",
    as_json: Json = False,
) -> None:
    """Delete random steps of every trace: the redundancy probe, to train on beside the whole traces.

    Example: `titer traces delete traces.jsonl --rate 0.1 --seed 0 --out deleted.jsonl`
    """
    from titer.verbs import traces

    result = traces.delete(file, out=out, rate=rate, seed=seed, on_bad=on_bad_choice(on_bad))
    say_dropped(result.dropped)
    if as_json:
        return print_json(result._asdict() | {"dropped": len(result.dropped)})
    pairs = {"traces": result.traces, "without a deleted step": result.unchanged}
    print_pairs({**pairs, "share of the reasoning deleted": f"{result.share:.1%}"})


def _short(teachers: list[str]) -> list[str]:
    """Names without the organisation before the slash, where that tells them apart; traces may name none."""
    nobody = "no teacher" if len(teachers) > 1 else "all"
    short = [name.rpartition("/")[2] or name for name in teachers]
    return [name if short.count(end) > 1 else end or nobody for name, end in zip(teachers, short, strict=True)]


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if value < 100 else f"{value:.0f}"


def _print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(harmless(column)), justify="right" if i else "left", overflow="fold", no_wrap=i == 0)
    for name, *values in rows:
        table.add_row(name, *map(_number, values))
    Console().print(table)
