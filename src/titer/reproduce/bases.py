"""The base that a reproduction starts from: the lab's own, or a pretrained model that was first taught the lab's tasks.

    teach("smollm2", 300, beside / TAUGHT)
    model = base_of(settings, beside)      # the folder of that; at the lab's own scale "lab"

At another scale everything else is the same text: tasks, teachers, suites, claims. What is taught first are the lab's
documents in their mixture, so that the model holds all four axes as the lab's base does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from titer.lab.build import Phase
    from titer.reproduce.experiment import Measures

LAB, TAUGHT = "lab", "taught"
DOCUMENTS = 128  # in an update
FRESH_RATE, PRETRAINED_RATE = 3e-3, 3e-4  # peak learning rates: of weights drawn at random, and of learned ones
CARELESS = 0.45  # as in the longer phase of the lab's base


class Start(Protocol):
    """What the settings of every reproduction say of its base."""

    @property
    def model(self) -> str:
        """`lab`, or the model that is taught the lab's tasks."""


def base_of(settings: Start, beside: Path) -> str:
    """The model that arms start from, whose folders lie in `beside`."""
    return LAB if settings.model == LAB else str(beside / TAUGHT / "model")


def tokenizer_of(settings: Start) -> Any:
    """The tokenizer of every model of the reproduction."""
    from titer.models import describe_model

    return describe_model(settings.model).tokenizer


def teach(model: str, updates: int, folder: Path) -> Measures:
    """Teach a pretrained model the lab's tasks, into `folder/model`."""
    from titer.lab.build import build

    phase = phase_of(model, updates, CARELESS)
    build(folder / "model", seed=1000, start=start_of(model), phases=(phase,), progress=False)
    return {"updates": updates}


def phase_of(model: str, updates: int, careless: float) -> Phase:
    """So many updates on the lab's documents, at a rate that the model's weights can bear."""
    from titer.lab.build import Phase

    rate = FRESH_RATE if model == LAB else PRETRAINED_RATE
    return Phase(updates, rate, documents=DOCUMENTS * updates, careless=careless)


def start_of(model: str) -> str | None:
    """What learns the lab's tasks: a model, or None for weights drawn at random."""
    return None if model == LAB else model
