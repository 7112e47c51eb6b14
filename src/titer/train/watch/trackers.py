"""Trackers of a training, through accelerate: the log goes there too."""

from __future__ import annotations

import json
from typing import Any

from accelerate.tracking import get_available_trackers

from titer.errors import InputError
from titer.recipe import Train


def require_tracker(settings: Train) -> None:
    """Raise InputError when the tracker's package is missing, which accelerate would only warn of."""
    if settings.tracker == "none" or settings.tracker in {tracker.value for tracker in get_available_trackers()}:
        return
    raise InputError(
        f"the package {settings.tracker} is not installed",
        field="train.tracker",
        remedy=f"pip install {settings.tracker}, or set train.tracker=none",
    )


def tracked_settings(settings: Train) -> dict[str, Any]:
    """The settings as trackers take them: TensorBoard knows numbers, text and truth values only."""
    plain = settings.model_dump(mode="json").items()
    return {
        name: value if isinstance(value, (bool, int, float, str)) else json.dumps(value, ensure_ascii=False)
        for name, value in plain
    }
