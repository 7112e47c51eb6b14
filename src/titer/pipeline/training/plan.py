"""The plan of a training: its budget in updates, and how many traces fill it how often (arXiv 2602.11149).

plan_training(recipe, problems, traces, work, said)  # planned.parquet, unseen.parquet, plan.json, decisions.json
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from titer.errors import InputError
from titer.models import Loaded, add_lora, context_length, load_model
from titer.pipeline.decisions import write_decisions
from titer.pipeline.sampling import Said
from titer.pipeline.training.pick import HOW, Picked, Pool, at_random, pick
from titer.pipeline.training.repetition import Held, Repetition, choose_repetition
from titer.pipeline.training.trial import NOTHING_TO_PLAN, held_out
from titer.processes import launched
from titer.recipe import Plan, Recipe, Train
from titer.records import Decision, Problem, Trace, read_traces, write_records
from titer.store import read_json, write_json, write_table

if TYPE_CHECKING:
    from titer.train import Sample
    from titer.train.tokens.encode import StepLabels

logger = logging.getLogger("titer")

MOST_UNSEEN = 100  # traces whose loss is followed although, or because, they are not trained on


class Planned(NamedTuple):
    """The settings with their budget in updates and nothing left to plan, what fills it, some of the traces left over,
    the seconds that an update was measured to take, and why traces are repeated so often."""

    settings: Train
    picked: Picked
    unseen: list[Trace]
    seconds: float | None
    repetition: Repetition | None


def is_planned(settings: Train) -> bool:
    """Whether anything is to be planned: all traces in so many updates or epochs need nothing."""
    return any((settings.tokens, settings.hours, settings.repetition))


def check_budget(settings: Train) -> None:
    """Refuse, before anything is computed, updates that the repetitions leave no full one of. Raises InputError."""
    from titer.train import unique_samples

    if settings.updates and settings.repetition not in (None, "auto"):
        unique_samples(settings)


def plan_training(recipe: Recipe, problems: Sequence[Problem], traces: Sequence[Trace], work: Path, said: Said) -> None:
    """Write the traces to train on, the number of updates, and the decision."""
    pool, too_long = pooled(load_model(recipe.model), traces, recipe.train)
    held = Held(recipe, held_out(problems, pool.traces, recipe.plan.problems, recipe.seed))
    plan = planned(
        pool, recipe.train, recipe.model, work=work, seed=recipe.seed, plan=recipe.plan, held=held, said=said
    )
    write_json(work / "too_long.json", [str(error) for error in too_long])
    write_plan(work, plan, recipe.train, len(traces), len(too_long))


def write_plan(work: Path, plan: Planned, asked: Train, kept: int, too_long: int) -> None:
    """A plan in its folder: traces, updates, decision; what was needed for a trial goes."""
    write_records(work / "planned.parquet", plan.picked.traces)
    if plan.unseen:
        write_records(work / "unseen.parquet", plan.unseen)
    if plan.picked.losses:
        rows = [{"trace_id": name, "nll": loss} for name, loss in plan.picked.losses.items()]
        write_table(work / "losses.parquet", rows)
    shutil.rmtree(work / "trial", ignore_errors=True)
    write_decisions(work, [_decision(asked, plan, kept, too_long)])
    write_json(work / "plan.json", {"updates": plan.settings.updates})


def read_plan(folder: Path, settings: Train) -> Train:
    """The settings with the budget that a finished plan came to, and nothing left to be planned."""
    updates = read_json(folder / "plan.json", lambda row: row["updates"])
    return settings.model_copy(update={"updates": updates, **NOTHING_TO_PLAN})


def planned_traces(folder: Path) -> tuple[list[Trace], list[Trace]]:
    """The traces to train on, from a finished plan or, where nothing was planned, curation; and the unseen ones."""
    if (folder / "kept.parquet").exists():
        return list(read_traces(folder / "kept.parquet")), []
    unseen = folder / "unseen.parquet"
    return list(read_traces(folder / "planned.parquet")), list(read_traces(unseen)) if unseen.exists() else []


def pooled(
    loaded: Loaded, traces: Sequence[Trace], settings: Train, *, label: StepLabels | None = None
) -> tuple[Pool, list[InputError]]:
    """What can be trained on, and the faults of what cannot. Raises InputError where `encode_all` does."""
    from titer.train import encode_all

    dropped: list[InputError] = []
    samples = encode_all(
        traces,
        loaded.tokenizer,
        max_length=context_length(settings.max_length, loaded.model),
        too_long=settings.too_long,
        dropped=dropped,
        label=label,
    )
    left = {sample.trace_id for sample in samples}
    return Pool([trace for trace in traces if trace.id in left], samples, loaded), dropped


def planned(
    pool: Pool,
    settings: Train,
    model: str,
    *,
    work: Path,
    seed: int,
    plan: Plan,
    held: Held | None = None,
    said: Said = lambda _: None,
) -> Planned:
    """The budget in updates, and the traces that fill it. What was measured stays in `work` and is not measured again.

    Raises InputError: a budget that the repetitions leave no full update of, something to measure with several
    processes, and whatever training refuses.
    """
    from titer.train import in_updates, unique_samples

    _refuse_several_processes(settings)
    tokens = settings.tokens
    seconds = _measured_seconds(pool, settings, model, work, seed) if settings.hours else None
    settings, repetition = in_updates(settings, pool.samples, seconds=seconds), None
    if settings.repetition == "auto":
        repetition = _tried(pool, settings, model, work, seed, plan, held, said)
        settings = settings.model_copy(update={"repetition": repetition.times})
    if settings.repetition:
        picked = pick(pool, unique_samples(settings), settings.pick, seed=seed)
        if tokens:  # those picked may be longer or shorter than the rest
            again = settings.model_copy(update={"updates": None, "tokens": tokens})
            settings = in_updates(again, _samples_of(pool, picked))
            picked = pick(pool, unique_samples(settings), settings.pick, seed=seed)
        _warn_of_few(settings, len(picked.traces))
    else:
        picked = Picked(pool.traces, {})
    return Planned(
        settings.model_copy(update=NOTHING_TO_PLAN), picked, _unseen(pool, picked, seed), seconds, repetition
    )


def _refuse_several_processes(settings: Train) -> None:
    """A trial and a warm-up are trainings of their own, after which several processes no longer know each other."""
    what = "hours" if settings.hours else "repetition" if settings.repetition == "auto" else None
    if what and launched() > 1:
        raise InputError(
            "this is measured by a training of its own, in one process only",
            field=f"train.{what}",
            remedy="let one process plan, and give several what it came to: updates and repetition",
        )


def _samples_of(pool: Pool, picked: Picked) -> list[Sample]:
    names = {trace.id for trace in picked.traces}
    return [sample for sample in pool.samples if sample.trace_id in names]


def _warn_of_few(settings: Train, traces: int) -> None:
    """Say that traces are shown more often than was asked for, because there are no more of them."""
    times = (settings.updates or 0) * settings.batch_size / traces
    if times > 1.5 * float(settings.repetition or 1):
        logger.warning(
            "%d traces fill %d updates only when each is shown %.3g times, not %.3g: repeating them so often can cost "
            "what was gained (arXiv 2602.11149); give more traces or fewer updates, or train.stop=endpoint",
            traces,
            settings.updates,
            times,
            settings.repetition,
        )


def _tried(
    pool: Pool, settings: Train, model: str, work: Path, seed: int, plan: Plan, held: Held | None, said: Said
) -> Repetition:
    """What `auto` came to here before, or comes to now; no more often than leaves one update of different traces."""
    file = work / "repetition.json"
    if file.exists():
        return read_json(file, lambda row: Repetition(**row), remedy="remove it, and it is found out again")
    found = choose_repetition(pool, settings, model, work=work / "trial", seed=seed, plan=plan, held=held, said=said)
    found = found._replace(times=min(found.times, float(settings.updates or 1)))
    write_json(file, found._asdict())
    return found


def _unseen(pool: Pool, picked: Picked, seed: int) -> list[Trace]:
    """Some of the traces of problems that are not trained on, in the order drawn: the first ones are a sample too."""
    known = {trace.problem_id for trace in picked.traces}
    order = at_random(len(pool.traces), seed)
    left = [place for place in order if pool.traces[place].problem_id not in known]
    return [pool.traces[place] for place in left[:MOST_UNSEEN]]


def _measured_seconds(pool: Pool, settings: Train, model: str, work: Path, seed: int) -> float:
    """Seconds an update takes, as measured here before or by training a model of its own."""
    from titer.train import seconds_an_update

    file = work / "seconds.json"
    if file.exists():
        return read_json(file, float, remedy="remove it, and it is measured again")
    base = load_model(model).model
    student = add_lora(base, settings.lora, seed=seed) if settings.lora else base
    seconds = seconds_an_update(
        student, pool.loaded.tokenizer, pool.samples, settings, work=work / "warm-up", seed=seed
    )
    write_json(file, seconds)
    return seconds


def _decision(asked: Train, plan: Planned, kept: int, too_long: int) -> Decision:
    updates, chosen = plan.settings.updates or 0, len(plan.picked.traces)
    shown = updates * asked.batch_size
    evidence: dict[str, Any] = {"traces kept": kept, "dropped as too long": too_long, "shown in all": shown}
    if plan.repetition and shown / chosen > plan.repetition.times + 1:
        evidence["wanted times each"] = f"{plan.repetition.times:.3g}, but there are no more traces"
    if plan.seconds:
        evidence["seconds an update, measured"] = round(plan.seconds, 4)
    return Decision(
        stage="plan",
        question="How many traces, how often?",
        choice=f"{chosen} traces, each {_often(shown / chosen)}: {updates} updates of {asked.batch_size}",
        rule=f"the budget is {_budget(asked)}; {_repetition(asked, plan.repetition)}",
        evidence=evidence | (plan.repetition.evidence if plan.repetition else {}),
        setting="train.repetition" if asked.repetition else "train",
    )


def _often(times: float) -> str:
    return "once" if times == 1 else f"{times:.3g} times"


def _budget(asked: Train) -> str:
    if asked.tokens:
        return f"{asked.tokens:,} trained tokens"
    return f"{asked.hours:g} hours of training" if asked.hours else f"{asked.updates} updates"


def _repetition(asked: Train, found: Repetition | None) -> str:
    if asked.repetition is None:
        return "every trace fills it"
    times = found.rule if found else f"train.repetition {asked.repetition:g}"
    return f"{times}; traces picked {HOW[asked.pick]}"
