"""What engines in other processes need of a model: where its weights are."""

from __future__ import annotations

from typing import Protocol


class Weights(Protocol):
    """`path` is a folder in Hugging Face format, or a hub id."""

    path: str
