"""Whether an evaluation is that of the stages that stand beside it: a run that was stopped may hold those of two.

refuse_mixture(folder, read_manifest(folder))
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from titer.errors import InputError

EVALUATE: Final = "evaluate"
_DATA: Final = ("data", "traces")
_MODELS: Final = ("trained", "model")


def refuse_mixture(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise InputError where a stage that the evaluated model comes from has been made anew since."""
    stages: Mapping[str, Any] = manifest["stages"]
    if EVALUATE in stages and not _stands(stages):
        raise InputError(
            "the evaluation is of an earlier training", file=folder, remedy="run it on: the same `titer run` mends it"
        )


def _stands(stages: Mapping[str, Any]) -> bool:
    """Whether all that the evaluation was made from, and so on back to the data, is here."""
    made_from: dict[str, Mapping[str, Any]] = {
        stage["key"]: stage.get("inputs", {}) if name != "data" else {} for name, stage in stages.items()
    }
    evaluated = made_from[stages[EVALUATE]["key"]]
    base, left, seen = evaluated.get("model"), [evaluated], set[str]()
    while left:
        inputs = left.pop()
        named = [inputs[name] for name in _DATA if name in inputs]
        named += [inputs[name] for name in _MODELS if inputs.get(name, base) != base]  # no stage has made the base
        if any(key not in made_from for key in named):
            return False
        left += [made_from[key] for key in named if key not in seen]
        seen.update(named)
    return True
