"""`titer route`, `bridge`, `rl` and `critique`: what goes where, and what each place does with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from titer.cli.printing import on_bad_choice, print_json, print_pairs, say, say_dropped
from titer.cli.types import Json, OnBad, Out, Seed, Settings


def route(
    problems: Annotated[Path, typer.Argument(help="Problems with answers.")],
    measured: Annotated[Path, typer.Argument(help="The folder that `titer measure` wrote.")] = Path("measured"),
    settings: Settings = None,
    out: Out = Path("routed"),
    on_bad: OnBad = "stop",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Sort problems by their solve rates: to SFT, to RL, to the bridge, or mastered.

    Example: `titer route problems.jsonl measured allocation=dapo --out routed`
    """
    from titer import verbs
    from titer.recipe import parse_block

    block = parse_block("route", settings or [])
    result = verbs.route(problems, measured, out=out, settings=block, seed=seed, on_bad=on_bad_choice(on_bad))
    say_dropped(result.dropped)
    if as_json:
        return print_json(result._asdict())
    for gap in result.gaps:
        say(gap)
    print_pairs({**result.places, "rehearsed": result.rehearsed, "dropped": len(result.dropped)})


def bridge(
    model: Annotated[str, typer.Argument(help="The student: lab, smollm2, a model folder, a .gguf file or a hub id.")],
    traces: Annotated[Path, typer.Argument(help="Traces that are too hard for it.")],
    problems: Annotated[Path, typer.Argument(help="Their problems, with answers.")],
    settings: Settings = None,
    out: Out = Path("bridged"),
    on_bad: OnBad = "stop",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make hard traces learnable: pruned, scaffolded or rewritten, and accepted by one test.

    Example: `titer bridge lab traces.jsonl routed/bridge.jsonl --on-bad drop --out bridged`
    """
    from titer import verbs
    from titer.recipe import parse_sampled

    block, generate = parse_sampled("bridge", settings or [])
    result = verbs.bridge(
        model,
        traces,
        problems,
        out=out,
        settings=block,
        generate=generate,
        seed=seed,
        on_bad=on_bad_choice(on_bad),
        said=say,
    )
    say_dropped(result.dropped)
    if as_json:
        return print_json(result._asdict())
    kinds = {
        kind: "{accepted:.0%} of {candidates} accepted, NLL {nll:.2f} (raw {raw_nll:.2f})".format(**one)
        for kind, one in result.kinds.items()
    }
    counts = {"traces": result.traces, "bridged": result.bridged, "without a candidate": result.without}
    print_pairs({**kinds, **counts, "dropped": len(result.dropped)})


def rl(
    model: Annotated[str, typer.Argument(help="lab, smollm2, a model folder, a .gguf file or a hub id.")],
    problems: Annotated[Path, typer.Argument(help="Problems with answers, best those solved now and then.")],
    settings: Settings = None,
    out: Out = Path("rl"),
    on_bad: OnBad = "stop",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a model by GRPO with verified rewards (needs the extra `rl`).

    Example: `titer rl lab routed/rl.jsonl updates=50 learning_rate=5e-5 --out rl`
    """
    from titer import verbs
    from titer.recipe import parse_block

    block = parse_block("rl", settings or [])
    result = verbs.rl(
        model, problems, out=out, settings=block, seed=seed, on_bad=on_bad_choice(on_bad), progress=not as_json
    )
    say_dropped(result.dropped)
    if result.stopped:
        say(f"stopped after {result.updates} updates: {result.stopped}")
    if as_json:
        return print_json(result._asdict())
    counts = {"problems never solved": len(result.never_solved), "dropped": len(result.dropped)}
    rewards = {"first reward": f"{result.first_reward:.3f}", "last reward": f"{result.last_reward:.3f}"}
    dead = {"groups without anything to compare": f"{result.dead_groups:.1%}"}
    print_pairs({"checkpoint": result.checkpoint, "updates": result.updates, **rewards, **dead, **counts})


def critique(
    model: Annotated[str, typer.Argument(help="The model whose attempts they are, or one that has learned since.")],
    failures: Annotated[Path, typer.Argument(help="Failed rollouts, as `titer rl` leaves them in failures.jsonl.")],
    problems: Annotated[Path, typer.Argument(help="Their problems, with answers.")],
    settings: Settings = None,
    teachers: Annotated[Path | None, typer.Option(help="Traces of the same problems, for fresh solutions.")] = None,
    out: Out = Path("critique"),
    on_bad: OnBad = "stop",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Find where failed attempts go wrong, and make lessons of them: diagnose, repair, renew.

    Example: `titer critique rl/checkpoints/step-000100 rl/failures.jsonl problems.jsonl --out critique`
    """
    from titer import verbs
    from titer.recipe import parse_sampled

    block, generate = parse_sampled("critique", settings or [])

    result = verbs.critique(
        model,
        failures,
        problems,
        out=out,
        teachers=teachers,
        settings=block,
        generate=generate,
        seed=seed,
        on_bad=on_bad_choice(on_bad),
    )
    say_dropped(result.dropped)
    for fault in result.faults:
        say(fault)
    if as_json:
        return print_json(result._asdict())
    located = {f"first wrong step by {name}": count for name, count in result.located.items()}
    lessons = {f"lessons to {name}": count for name, count in result.lessons.items()}
    counts = {"attempts without a lesson": result.without, "dropped": len(result.dropped)}
    print_pairs({"attempts": result.attempts, **located, **lessons, **counts})
