"""What the reproduction of finding D is made of: its arms, its tasks, and how large it is."""

from __future__ import annotations

from typing import NamedTuple

BASE, STUDENT = "base", "student"
ARMS = ("sft", "rl", "sft-rl", "routed", "routed-bridge", "routed-bridge-critique", "opposite")
BRIDGES = {
    "raw": "as they are",
    "pruned": "pruned",
    "scaffold": "as scaffolds",
    "best": "as the bridge's choice",
}
IN_DOMAIN, OUT_OF_DOMAIN = ("countdown3", "countdown4"), ("ordered", "subset")


class Settings(NamedTuple):
    """How large the experiment is."""

    warm_updates: int = 150
    """Updates of the convergent teacher that make the student."""
    problems: int = 75
    """Training problems of each task."""
    branch_rate: float = 0.35
    """Chance of a dead branch before a step, in the traces of the divergent teacher: one in two."""
    budget: int = 300_000
    """Tokens through training, prompts included, and tokens sampled, together."""
    batch_size: int = 16
    """Traces in one update of SFT."""
    sft_rate: float = 3e-4
    """Peak learning rate of SFT."""
    rl_rate: float = 1e-4
    """Learning rate of RL."""
    prompts: int = 8
    """Problems in one update of RL."""
    samples: int = 8
    """Rollouts of each."""
    max_tokens: int = 160
    """Longest rollout."""
    held_out: int = 80
    """Held-out problems of each task in the domain; half as many of each outside of it."""
    prompt: int = 20
    """Tokens of a prompt, about."""
    model: str = "lab"
    """`lab`, or a pretrained model that is taught the lab's tasks first."""
    teaching: int = 0
    """Updates of that."""


SCALES = {
    "smollm2": {
        "model": "smollm2", "teaching": 300, "warm_updates": 150, "budget": 500_000, "sft_rate": 5e-5,
        "rl_rate": 5e-6, "max_tokens": 265, "prompt": 46,
    }
}  # fmt: skip
