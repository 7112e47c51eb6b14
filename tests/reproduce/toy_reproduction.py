"""A reproduction without a model: what its jobs do is told by files in the folder that its settings name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from titer.reproduce.experiment import Claim, Experiment, Measures


def job(arm: str, seed: int, settings: Mapping[str, Any], folder: Path) -> Measures:
    control = Path(settings["control"])
    (folder / "sft" / "checkpoints" / "step-1").mkdir(parents=True, exist_ok=True)
    (folder / "pid").write_text(str(os.getpid()))
    with (control / "ran").open("a") as file:
        file.write(f"{arm} {seed} {os.environ['OMP_NUM_THREADS']}\n")
    if (control / f"sleep-{arm}").exists():
        time.sleep(60)
    if (control / f"fail-{arm}-{seed}").exists():
        raise ValueError("a trap")
    return {"score": (0.5 if arm == "better" else 0.25) + 0.01 * seed * (arm == "better"), "loss": 1.0}


def prepare(name: str, settings: Mapping[str, Any], folder: Path) -> Measures:
    with (Path(settings["control"]) / "ran").open("a") as file:
        file.write(f"made {name}\n")
    (folder / "thing").write_text(name)
    return {"size": 3.0}


CLAIMS = (
    Claim("better scores more", "a paper, 3 to 1", "score", {"better": 1.0, "plain": -1.0}, "above"),
    Claim("better scores less", "another paper", "score", {"better": 1.0, "plain": -1.0}, "below"),
    Claim("better loses more", "a third", "loss", {"better": 1.0, "plain": -1.0}, "above"),
)


def toy(control: Path, shared: tuple[str, ...] = ()) -> Experiment:
    return Experiment(
        name="toy",
        module="toy_reproduction",
        arms=("plain", "better"),
        settings={"control": str(control)},
        job=job,
        claims=CLAIMS,
        shared=shared,
        prepare=prepare,
    )


EXPERIMENT = toy(Path(), shared=("things",))
