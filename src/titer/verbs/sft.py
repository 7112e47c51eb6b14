"""Supervised fine-tuning on a file of traces.

result = sft("lab", "traces.jsonl", out="sft", settings=Train(epochs=3))
result.checkpoint
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from titer.errors import InputError
from titer.measure import TokenSums, choose, prior
from titer.pipeline.alone import alone
from titer.pipeline.training.choose import check_objective
from titer.processes import agreed, is_main
from titer.recipe import Choose, Plan, Train
from titer.records import Trace, find_repeats, read_traces
from titer.records.reading import OnBad
from titer.store import TRAINING_AGAIN, content_hash, read_lines, write_json, write_table
from titer.verbs.idle import refuse_idle

if TYPE_CHECKING:
    from rich.text import Text

    from titer.pipeline.training.pick import Pool
    from titer.train import Sample

logger = logging.getLogger("titer")


class SftResult(NamedTuple):
    """The last checkpoint, its updates and objective, its token accuracy on the fixed subset, and what was trained on
    and dropped."""

    checkpoint: str
    updates: int
    objective: str
    token_accuracy: float | None
    traces: int
    dropped: list[str]


class ShownSample(NamedTuple):
    """One sample: prompt and trained text, numbers of tokens, both texts in colour, rows dropped on the way to it."""

    prompt: str
    trained: str
    tokens: int
    trained_tokens: int
    text: Text
    dropped: list[str]


class _Evidence(NamedTuple):
    """What `auto` came to and why, and the sums of each trace."""

    choice: dict[str, Any]
    sums: list[TokenSums]


@alone
def sft(
    model: str,
    traces: str | Path,
    *,
    out: str | Path,
    settings: Train | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
    progress: bool = False,
) -> SftResult:
    """Fine-tune `model` on every trace of a file; goes on where an interrupted call with the same `out` stopped.

    What `objective: auto` came to stays in `out/choice.json`, with the sums of each trace in `out/prior.parquet`; what
    `tokens`, `hours` and `repetition` came to, and why, in `out/plan/`.
    Raises InputError for bad rows and repeated traces (with `on_bad="drop"` they are listed in the result), truncated
    traces, and whatever `titer.train` refuses.
    """
    refuse_idle(settings, {"launch"}, "sft itself is started with torchrun or accelerate launch")
    from titer.models import add_lora, load_model
    from titer.pipeline.training.plan import is_planned, pooled
    from titer.traces import BEHAVIOURS
    from titer.traces.steps import step_kinds
    from titer.train import require_tracker, train

    settings = settings or Train()
    require_tracker(settings)
    check_objective(settings.objective)
    dropped: list[InputError] = []
    rows = _traces(traces, on_bad, dropped)
    loaded = load_model(model)
    pool, too_long = pooled(loaded, rows, settings, label=step_kinds)
    settings, evidence = _settled(settings, pool, seed)
    samples: list[Sample] = pool.samples
    unseen: list[Sample] = []
    if is_planned(settings):
        settings, samples, unseen = _planned(model, pool, settings, Path(out), seed, (len(rows), len(too_long)))
    student = add_lora(loaded.model, settings.lora, seed=seed) if settings.lora else loaded.model
    result = train(
        student,
        loaded.tokenizer,
        samples,
        settings,
        out=Path(out),
        seed=seed,
        progress=progress,
        kinds=BEHAVIOURS,
        unseen=unseen,
    )
    if evidence and is_main():
        write_json(Path(out) / "choice.json", evidence.choice)
        write_table(Path(out) / "prior.parquet", [one._asdict() for one in evidence.sums])
    return SftResult(
        str(result.last),
        result.updates,
        settings.objective,
        _last_accuracy(Path(out)),
        len(samples),
        [str(error) for error in (*dropped, *too_long)],
    )


def _last_accuracy(out: Path) -> float | None:
    """Token accuracy on the fixed subset at the last probe; None where there was none."""
    probes = read_lines(out / "probe.jsonl", remedy=TRAINING_AGAIN)
    return float(probes[-1]["token_accuracy"]) if probes else None


def _planned(
    model: str, pool: Pool, settings: Train, out: Path, seed: int, counts: tuple[int, int]
) -> tuple[Train, list[Sample], list[Sample]]:
    """The settings with their budget in updates, the samples that fill it, and others whose loss is followed; as an
    earlier call planned them. `counts`: the traces there were, and those of them that are too long.

    A plan stands in a folder named by what it depends on, so that none is taken for another's.
    """
    from titer.pipeline.training.plan import planned, planned_traces, read_plan, write_plan

    digests = [[sample.trace_id, sample.ids] for sample in pool.samples]
    key = content_hash([model, seed, settings.decisive(), digests])
    work = out / "plan" / key[:12]
    # every process plans the same; a plan that takes a training is refused to several
    if not (work / "plan.json").exists():
        plan = planned(pool, settings, model, work=work, seed=seed, plan=Plan(), said=logger.info)
        if is_main():
            write_plan(work, plan, settings, *counts)
    agreed(None)  # the main process has written it
    taken, unseen = ({trace.id for trace in traces} for traces in planned_traces(work))
    samples = [sample for sample in pool.samples if sample.trace_id in taken]
    return read_plan(work, settings), samples, [sample for sample in pool.samples if sample.trace_id in unseen]


def _settled(settings: Train, pool: Pool, seed: int) -> tuple[Train, _Evidence | None]:
    """The settings with the objective that `auto` comes to: nll between strong and weak, with nothing to try it on."""
    from titer.pipeline.training.prior import some_of, token_sums

    if settings.objective != "auto":
        return settings, None
    some = some_of(pool.samples, Choose().traces, seed)
    sums = token_sums(pool.loaded.model, pool.loaded.tokenizer, some, pool.traces)
    mean_p = (found := prior(sums, seed=seed)).mean_p
    choice = choose(found)
    rule = choice.rule if choice.objective else f"{choice.rule}; sft has no problems to try it on: −log p"
    if choice.objective is None:
        logger.warning("objective nll: %s. titer run tries both; objective=p takes -p", rule)
    taken = agreed({"objective": choice.objective or "nll", "rule": rule, "mean_p": list(mean_p)})
    return settings.model_copy(update={"objective": taken["objective"]}), _Evidence(taken, sums)


def show_sample(
    model: str, traces: str | Path, *, settings: Train | None = None, on_bad: OnBad = "stop"
) -> ShownSample:
    """The first usable trace as `sft` with the same arguments would train on it; loads no weights.

    Raises InputError for whatever `sft` refuses in the rows up to this trace.
    """
    from titer.models import context_length, describe_model
    from titer.train import encode_each, show

    settings = settings or Train()
    described = describe_model(model)
    tokenizer = described.tokenizer
    dropped: list[InputError] = []
    samples = encode_each(
        read_traces(traces, on_bad=on_bad, dropped=dropped, truncated="bad"),
        tokenizer,
        max_length=context_length(settings.max_length, described),
        too_long=settings.too_long,
        dropped=dropped,
    )
    sample = next(samples, None)
    if sample is None:
        raise _nothing_left(traces)
    first = len(sample.ids) - sample.trained
    return ShownSample(
        tokenizer.decode(sample.ids[:first]),
        tokenizer.decode(sample.ids[first:]),
        len(sample.ids),
        sample.trained,
        show(sample, tokenizer),
        [str(error) for error in dropped],
    )


def _traces(file: str | Path, on_bad: OnBad, dropped: list[InputError]) -> list[Trace]:
    rows = list(read_traces(file, on_bad=on_bad, dropped=dropped, truncated="bad"))
    if not rows:
        raise _nothing_left(file)
    again = dict(find_repeats(rows))
    for place, earlier in again.items():
        fault = InputError(
            f"trace {rows[place].id!r} repeats {earlier!r} word for word",
            file=file,
            remedy="leave it out, or pass --on-bad drop: train.epochs says how often a trace is shown",
        )
        if on_bad == "stop":
            raise fault
        dropped.append(fault)
    return [row for place, row in enumerate(rows) if place not in again]


def _nothing_left(file: str | Path) -> InputError:
    return InputError("no trace is left to train on", file=file, remedy="give a file with usable traces")
