"""What goes where (finding D): solve rates, the router, the bridge, RL, critique, rounds."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from titer.recipe.block import AverageShare, Block, Lora, PositiveShare, Share


class Measure(Block):
    """How the base model's solve rates are measured before training."""

    problems: Annotated[int, Field(ge=0)] = 200
    """Training problems to sample (0 skips the measurement)."""
    samples: Annotated[int, Field(gt=0)] = 32
    """Most rollouts of each problem."""
    first: Annotated[int, Field(gt=0)] = 4
    """Rollouts that every problem gets."""
    step: Annotated[int, Field(gt=0)] = 1
    """Rollouts that a problem in doubt gets at a time after these; more make fewer rounds, for long rollouts."""
    price: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0115
    """What a rollout must add to the probability of telling a problem's band right (ours); 0 draws all `samples`."""
    medium: Share = 0.25
    """Solve rate from which a problem is medium, not hard (arXiv 2606.04466)."""
    simple: Share = 0.75
    """Solve rate from which it is simple (arXiv 2606.04466)."""
    temperature: Annotated[float, Field(ge=0.0)] = 1.0
    """Sampling temperature; 1 measures the model's own distribution."""
    max_tokens: Annotated[int, Field(gt=0)] = 256
    """Longest rollout."""

    @model_validator(mode="after")
    def _bands_in_order(self) -> Self:
        if self.medium >= self.simple:
            raise PydanticCustomError("bands", "medium must lie below simple")
        if self.first > self.samples and self.first != type(self).model_fields["first"].default:
            raise PydanticCustomError("first", "first lies above samples, the most that a problem gets")
        return self


class Route(Block):
    """What goes where (finding D)."""

    allocation: Literal["bands", "opposite", "unsolved", "dapo"] = "bands"
    """bands: simple is mastered, medium to SFT and RL, hard to the bridge and SFT (arXiv 2606.04466); opposite: hard to
    RL, the rest to SFT (arXiv 2603.11193); unsolved: never solved to SFT, now and then to RL; dapo: now and then to RL,
    the rest aside."""
    rehearsal: Share = 0.05
    """Share of the mastered problems that is kept for rehearsal."""


class Bridge(Block):
    """How traces that are too hard to learn from are made learnable (finding D; the acceptance test is ours)."""

    kinds: Annotated[tuple[Literal["pruned", "scaffold", "rewrite"], ...], Strict(False)] = ("pruned", "scaffold")
    """Candidates: pruned of dead lines; the shortest beginning from which the student finishes right, and how it does;
    told again by a model that is shown the solution."""
    samples: Annotated[int, Field(gt=0)] = 8
    """Rollouts from each beginning."""
    solves: Share = 0.25
    """Solve rate that the student must reach from a candidate's first half."""
    shortest: Share = 0.1
    """Least length of a candidate, as a share of the raw trace's tokens."""
    longest: Annotated[float, Field(gt=0)] = 1.5
    """Greatest length, in the same measure."""
    rewrites: Annotated[int, Field(gt=0)] = 2
    """Rewrites of each trace."""
    server: str | None = None
    """Base URL of the OpenAI-compatible server that rewrites; the student itself does without one."""
    rewriter: str | None = None
    """Name that the server has for its model."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds that a rewrite may take; asked for twice more."""
    otherwise: Literal["raw", "nothing"] = "nothing"
    """What a trace without an accepted candidate becomes: itself, or nothing."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """Sampling temperature."""
    max_tokens: Annotated[int, Field(gt=0)] = 512
    """Longest rollout, and longest rewrite."""

    @model_validator(mode="after")
    def _server_and_name(self) -> Self:
        if (self.server is None) != (self.rewriter is None):
            raise PydanticCustomError("rewriter", "server and rewriter belong together")
        if self.server is not None and "rewrite" not in self.kinds:
            raise PydanticCustomError("rewriter", "a server rewrites where kinds have rewrite: add it")
        return self


class Rl(Block):
    """GRPO (through TRL) on problems that the model solves now and then."""

    harmless = frozenset({"gradient_checkpointing", "save_every", "kl_every", "vllm_server"})

    updates: Annotated[int, Field(gt=0)] = 100
    """Optimizer updates."""
    prompts: Annotated[int, Field(gt=0)] = 8
    """Problems in one update."""
    samples: Annotated[int, Field(gt=1)] = 8
    """Rollouts of each: a group."""
    refills: Annotated[int, Field(ge=0)] = 1
    """How often other problems are drawn in place of groups whose rollouts all score alike."""
    cut: Literal["wrong", "ignore"] = "wrong"
    """What a rollout that the length limit cut counts as: wrong, or neither right nor wrong."""
    patience: Annotated[int, Field(gt=0)] = 10
    """Updates without a single group to learn from, after which there is nothing left to do."""
    loss: Literal["dapo", "grpo", "dr_grpo", "bnpo"] = "dapo"
    """How the loss of an update's tokens is averaged, as TRL names it."""
    beta: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the KL penalty towards the model that RL starts from."""
    kl_every: Annotated[int, Field(ge=0)] = 10
    """Updates between two measurements of the KL to that model, the gauge of forgetting; 0 never."""
    clip_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """How far the probability ratio may move."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    """Peak learning rate."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """What becomes of it after the warm-up."""
    warmup: Share = 0.05
    """Share of the updates in which it rises linearly from zero."""
    betas: Annotated[tuple[AverageShare, AverageShare], Strict(False)] = (0.9, 0.999)
    """AdamW's averages."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decay of the weights."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient."""
    micro_rows: Annotated[int, Field(gt=0)] = 16
    """Rollouts of one forward pass; must divide those of an update."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Sampling temperature."""
    top_p: PositiveShare = 1.0
    """Nucleus; 1 samples the distribution that is trained."""
    max_tokens: Annotated[int, Field(gt=0)] = 512
    """Longest rollout."""
    generator: Literal["engine", "transformers", "vllm"] = "engine"
    """What samples: titer's engine, transformers' generate, or vLLM as TRL drives it."""
    vllm_server: str | None = None
    """Base URL of a `vllm serve` that takes TRL's weights; without one vLLM shares the trainer's GPU."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass."""
    save_every: Annotated[int, Field(gt=0)] = 25
    """Updates between two saved states to resume from."""
    lora: Lora | None = None
    """Train adapters instead of all weights."""

    @model_validator(mode="after")
    def _rows_divide(self) -> Self:
        if (self.prompts * self.samples) % self.micro_rows and self.micro_rows < self.prompts * self.samples:
            raise PydanticCustomError("micro_rows", "micro_rows must divide prompts × samples")
        return self

    @model_validator(mode="after")
    def _a_server_samples(self) -> Self:
        if self.vllm_server is not None and self.generator != "vllm":
            raise PydanticCustomError("vllm_server", "vllm_server samples with generator=vllm alone: add it")
        if self.vllm_server is not None and not re.match(r"https?://[^/]", self.vllm_server):
            raise PydanticCustomError("vllm_server", "vllm_server is an address such as http://host:8000")
        return self


class Critique(Block):
    """How failed attempts are taken apart (finding D; the wordings are ours)."""

    locators: Annotated[tuple[Literal["arithmetic", "rollouts", "judge"], ...], Strict(False)] = (
        "arithmetic",
        "rollouts",
    )
    """Who says which step is the first wrong one, in this order: a calculation that does not hold; rollouts from
    prefixes, by bisection; a language model."""
    lessons: Annotated[tuple[Literal["diagnose", "repair", "renew"], ...], Strict(False)] = (
        "diagnose",
        "repair",
        "renew",
    )
    """What is made of an attempt: which step is wrong, the right rest, a fresh solution."""
    attempts: Annotated[int, Field(gt=0)] = 1
    """Failed attempts of each problem that are taken apart."""
    samples: Annotated[int, Field(gt=0)] = 8
    """Rollouts from each place."""
    most: Annotated[int, Field(gt=0)] = 32
    """Rollouts from a place from which none is right."""
    server: str | None = None
    """Base URL of the OpenAI-compatible server that judges; the model itself does without one."""
    judge: str | None = None
    """Name that the server has for its model."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds that a verdict may take; asked for twice more."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """Sampling temperature of the rollouts; a judge is greedy."""
    max_tokens: Annotated[int, Field(gt=0)] = 512
    """Longest rollout, and longest verdict."""

    @model_validator(mode="after")
    def _server_and_name(self) -> Self:
        if (self.server is None) != (self.judge is None):
            raise PydanticCustomError("judge", "server and judge belong together")
        if self.server is not None and "judge" not in self.locators:
            raise PydanticCustomError("judge", "a server judges where locators have judge: add it")
        return self


class Stages(Block):
    """Rounds of SFT, RL and critique (finding D)."""

    rounds: Annotated[int, Field(ge=0)] = 0
    """Most rounds; 0 is SFT alone, on all kept traces."""
    bridge: bool = True
    """Bridge the traces of hard problems; without it they are trained on as they are."""
    rl: bool = True
    """RL on the problems that the router sends there."""
    critique: bool = True
    """Lessons of what RL never solved, for the next round's SFT; those of the last round stay in
    `critique/lessons.jsonl`, and a call with more rounds learns from them."""
    held: Annotated[int, Field(gt=0)] = 100
    """Training problems kept out of every round to compare the rounds on; at most a quarter of all."""
    samples: Annotated[int, Field(gt=1)] = 8
    """Rollouts of each of them: k of pass@k."""
    least_entropy: Share = 0.1
    """Share of its first entropy below which RL's rollouts count as collapsed (ours)."""
