"""How many updates a training has: said outright, or as trained tokens, hours, or epochs.

    settings = in_updates(Train(tokens=10_000_000), samples)
    settings.updates

Hours depend on the machine: how long an update takes is measured first (`warm_up`).
"""

from __future__ import annotations

from collections.abc import Sequence

from titer.errors import InputError
from titer.recipe import Train
from titer.train.tokens.batches import SampleOrder
from titer.train.tokens.encode import Sample


def in_updates(settings: Train, samples: Sequence[Sample], *, seconds: float | None = None) -> Train:
    """The settings with the budget as `updates`, at least one, and no other left. `seconds` are those of an update.

    Raises InputError: hours without `seconds`, no samples.
    """
    if not samples:
        raise InputError("no sample is left to train on", field="train", remedy="look at what was dropped")
    if settings.updates:
        return settings
    size = settings.batch_size
    if settings.tokens:
        an_update = size * sum(sample.trained for sample in samples) / len(samples)
        updates = settings.tokens / an_update
    elif settings.hours:
        if seconds is None:
            raise InputError("hours are measured in a run or by sft only", field="train.hours", remedy="give updates")
        updates = 3600 * settings.hours / seconds
    else:
        updates = SampleOrder(len(samples), size, 0).updates(settings.epochs)
    return settings.model_copy(update={"updates": max(1, round(updates)), "tokens": None, "hours": None})


def unique_samples(settings: Train) -> int:
    """How many samples fill the budget when each is shown `repetition` times.

    Raises InputError when they fill no update.
    """
    updates, size, times = settings.updates or 0, settings.batch_size, settings.repetition or 1
    if times == "auto":
        raise InputError("how often auto is, a run or sft measures", field="train.repetition", remedy="give a number")
    count = round(updates * size / times)
    if count < size:
        raise InputError(
            f"{updates} updates of {size} traces, each shown {times:g} times, are {count} different traces: fewer than "
            "one update takes",
            field="train.repetition",
            remedy="raise the budget, or lower it",
        )
    return count
