"""The whole configuration of a run, frozen. Every field's docstring is its documentation.

recipe = load_recipe("quickstart", ["train.learning_rate=1e-3"])
recipe.train.epochs
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from titer.recipe.block import AverageShare, Block, FolderName, Lora, PositiveShare, Seed, Share
from titer.recipe.data import Data
from titer.recipe.generate import Generate
from titer.recipe.stages import Bridge, Critique, Measure, Rl, Route, Stages

OURS = ("ddp", "fsdp2", "zero2")  # accelerate's configurations that come with titer


def _launcher(command: str) -> str:
    """Refuses what starts anything else than processes that train."""
    words = command.split()
    if words and words[0] != "torchrun" and words[:2] != ["accelerate", "launch"] and command not in OURS:
        what = f"{', '.join(OURS)}, or a command of torchrun or accelerate launch"
        raise PydanticCustomError("launch", "no launcher: {what}", {"what": what})
    return command


class Curate(Block):
    """Which traces are trained on (finding A)."""

    verified: bool = True
    """Keep only traces whose answer verifies."""
    keep: PositiveShare = 0.9
    """Share kept after ranking by `by`; the branchiest are dropped (arXiv 2604.01702 keeps 0.9). Traces that do not
    branch at all stay, however many they are."""
    by: str = "cue_share"
    """Ranking: a feature that `titer traces measure` counts (cue_share is the paper's second proxy), step_ratio (its
    first, against `paired_with`), or none."""
    paired_with: str = ""
    """Part of the name of the convergent teacher that step_ratio compares with."""
    per_problem: Annotated[int, Field(gt=0)] | None = None
    """At most this many traces of one problem, least branching first."""
    rehearsal: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of what is trained on that rehearses, where `data` has traces for it; they pass no filter."""
    thinking: Literal["keep", "drop"] = "keep"
    """drop: train on the responses alone (arXiv 2604.06628: less is lost in safety, and less is gained)."""
    shortest: Annotated[int, Field(gt=0)] | None = None
    """Fewest characters of reasoning."""
    longest: Annotated[int, Field(gt=0)] | None = None
    """Most characters of reasoning."""
    near: PositiveShare | None = None
    """Drop traces of problems whose prompts resemble, at this Jaccard similarity of their three-word sequences, an
    earlier problem's or an evaluation problem's."""


class Choose(Block):
    """How `train.objective: auto` is decided (finding E). The cut-offs are ours; arXiv 2510.00526 gives none."""

    traces: Annotated[int, Field(gt=0)] = 300
    """Kept traces on which the base's mean token probability is measured."""
    strong: Share = 0.9
    """Mean p from which −p is taken without a trial; the paper's strong cases lie at .76 to .81, where in the lab −p
    both won and lost."""
    weak: Share = 0.5
    """Mean p below which −log p is taken; the paper's ties begin at .50."""
    candidate: str = "p"
    """What a strong model gets, and what a trial holds against −log p: −p, or a thresholded one such as
    nll@p>=0.2."""
    updates: Annotated[int, Field(ge=0)] = 60
    """Updates of each arm of the trial between them, at most the run's own; 0 takes −log p there without one."""
    problems: Annotated[int, Field(gt=0)] = 100
    """Training problems held out of the trial to compare its arms on; at most a quarter of all."""
    samples: Annotated[int, Field(gt=0)] = 4
    """Rollouts of each of them."""


class Plan(Block):
    """How `train.repetition: auto` is decided (finding C). The numbers are ours."""

    share: PositiveShare = 0.05
    """Largest share of the budget's updates that the arms of the trial take between them."""
    problems: Annotated[int, Field(gt=0)] = 100
    """Training problems held out of the trial to compare its arms on; at most a quarter of all."""
    samples: Annotated[int, Field(gt=0)] = 4
    """Rollouts of each of them."""


class Train(Block):
    """The SFT run."""

    harmless = frozenset({"micro_tokens", "save_seconds", "tracker", "gradient_checkpointing", "launch"})

    objective: str = "auto"
    """auto: chosen by the base's prior (`choose`; the training loop alone takes nll). nll: −log p. p: −p. power:10,
    nll@p>=0.2, quantile:0.1, focal:2, 0.7*p+0.3*nll, … (docs/objectives.md)."""
    normalize: Literal["tokens", "weights"] = "tokens"
    """What an update's loss is divided by: its trained tokens, or the sum of their weights."""
    termination: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Share of the loss that the ends of thinking and turn get, on top of any objective; .05 in the follow-ups of
    arXiv 2602.11149. No token counts more than 50 times: in traces of thousands of tokens the share stays smaller."""
    epochs: Annotated[float, Field(gt=0)] = 1.0
    """Passes over the kept traces, where no other budget is given; the last update is filled from the next pass."""
    updates: Annotated[int, Field(gt=0)] | None = None
    """Budget in optimizer updates."""
    tokens: Annotated[int, Field(gt=0)] | None = None
    """Budget in trained tokens, repetitions counted: as many updates as take so many on average, over the traces that
    are picked."""
    hours: Annotated[float, Field(gt=0)] | None = None
    """Budget in hours of training on this machine: as many updates as a warm-up of ten says fit; the plan, probes and
    checkpoints come on top."""
    repetition: Annotated[float, Field(ge=1)] | Literal["auto"] | None = None
    """How often each trace is shown within the budget: so many fewer traces are taken (arXiv 2602.11149). auto: a trial
    of a few updates tells (`plan`). None: all traces, as often as the budget allows."""
    pick: Literal["random", "hard"] = "random"
    """Which traces are repeated: any, or those that the base finds least likely, domains in turn and without the few
    at the top."""
    stop: Literal["budget", "endpoint"] = "budget"
    """budget: after all updates. endpoint: once token accuracy on the fixed subset says that the traces are learned,
    with a cooldown of the learning rate over a tenth of the updates so far; at the latest after all."""
    batch_size: Annotated[int, Field(gt=0)] = 32
    """Traces in one update, over all processes."""
    micro_tokens: Annotated[int, Field(gt=0)] = 8192
    """Padded tokens of one forward pass; changes speed and memory, never the result."""
    packing: bool = False
    """Lay traces end to end in one row, without attention across them, instead of padding."""
    max_length: Annotated[int, Field(gt=0)] | None = None
    """Longest sample in tokens, prompt included; by default the model's context."""
    too_long: Literal["stop", "drop"] = "stop"
    """What a sample over `max_length` does. Nothing is ever cut."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    """Peak learning rate."""
    warmup: Share = 0.1
    """Share of the updates in which the rate rises linearly from zero."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """cosine to zero, or constant and then a linear cooldown to zero."""
    cooldown: Share = 0.1
    """Share of the updates that the constant schedule cools down in."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """adamw, or muon for the matrices inside the layers with adamw for the rest (for training from scratch)."""
    betas: Annotated[tuple[AverageShare, AverageShare], Strict(False)] = (0.9, 0.999)
    """AdamW's averages."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decay of matrices; vectors (norms, biases) are not decayed."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast over fp32 weights on a GPU that has it, fp32 elsewhere."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    lora: Lora | None = None
    """Train adapters instead of all weights."""
    probe_samples: Annotated[int, Field(ge=0)] = 200
    """Largest size of the fixed training subset on which token accuracy is measured (arXiv 2602.11149 takes 200); a
    short training gets a smaller one, so that measuring should take 3 % of its time. 0 measures nothing."""
    save_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Least time between two saved states to resume from."""
    launch: Annotated[str, AfterValidator(_launcher)] = ""
    """What starts the processes that train: nothing (this one alone does), ddp, fsdp2 or zero2 (one a device, with
    the whole model, its share of it, or its share of the optimizer by DeepSpeed), or a command such as
    `torchrun --nproc_per_node 2` or `accelerate launch --config_file zero3.yaml`. In a run; `titer sft` is itself put
    behind such a command."""
    tracker: Literal["none", "tensorboard", "wandb", "trackio", "mlflow"] = "none"
    """Where else the log goes, through accelerate."""

    @model_validator(mode="after")
    def _one_way_to_be_small(self) -> Self:
        if self.lora and self.optimizer == "muon":
            raise PydanticCustomError("lora_muon", "lora and optimizer=muon exclude each other")
        return self

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        given = [name for name in ("updates", "tokens", "hours") if getattr(self, name)]
        if len(given) > 1:
            raise PydanticCustomError("budgets", "{names} exclude each other", {"names": " and ".join(given)})
        if self.repetition and not given:
            raise PydanticCustomError("repetition", "repetition needs a budget to fill: updates, tokens or hours")
        if self.pick == "hard" and not self.repetition:
            raise PydanticCustomError("pick", "pick=hard needs repetition: without it all traces are shown")
        return self

    @model_validator(mode="after")
    def _something_to_stop_by(self) -> Self:
        if self.stop == "endpoint" and not self.probe_samples:
            raise PydanticCustomError("endpoint", "stop=endpoint needs probe_samples, by which it is found")
        return self


SAMPLED: Final = ("temperature", "top_p", "max_tokens")
"""Settings of `Evaluate` that say how a rollout is drawn."""


class Evaluate(Block):
    """How checkpoints are scored (defaults: arXiv 2604.06628)."""

    samples: Annotated[int, Field(gt=0)] = 4
    """Rollouts of each problem: k of avg@k."""
    temperature: Annotated[float, Field(ge=0)] = 0.6
    """Sampling temperature."""
    top_p: PositiveShare = 0.95
    """Nucleus."""
    max_tokens: Annotated[int, Field(gt=0)] = 512
    """Longest rollout, thinking included."""
    checkpoints: Literal["last", "grid"] = "last"
    """Besides the base: only the last checkpoint, or every one on the log grid."""
    tokens: Annotated[int, Field(gt=0)] | None = None
    """Tokens to sample at each checkpoint between base and last; by default every problem `samples` times. They are
    spent where the base is neither always nor never right."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """The same budget in minutes a checkpoint, at the pace at which the base was sampled."""
    kl: Annotated[int, Field(ge=0)] = 64
    """Completions in domain on which KL(tuned ‖ base) is measured, as a gauge of forgetting; 0 measures nothing."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.tokens and self.minutes:
            raise PydanticCustomError("budgets", "tokens and minutes exclude each other")
        if (self.tokens or self.minutes) and self.checkpoints == "last":
            raise PydanticCustomError(
                "budget", "a budget is for checkpoints between base and last: say checkpoints=grid"
            )
        return self


class Recipe(Block):
    """A run."""

    name: FolderName = "run"
    """Name of the run directory."""
    model: str
    """`lab`, `smollm2`, a model directory, a .gguf file or a hub id."""
    seed: Seed = 0
    """Seed of everything random."""
    data: Data
    """Problems, traces, suites."""
    generate: Generate = Generate()
    """What samples the models."""
    measure: Measure = Measure()
    """The base model's solve rates."""
    route: Route = Route()
    """What goes where."""
    bridge: Bridge = Bridge()
    """How hard traces are made learnable."""
    rl: Rl = Rl()
    """GRPO on the middle band."""
    critique: Critique = Critique()
    """What is learned from attempts that never came right."""
    stages: Stages = Stages()
    """How many rounds of them, and which stages a round has."""
    curate: Curate = Curate()
    """Which traces are kept."""
    choose: Choose = Choose()
    """How the objective is chosen."""
    plan: Plan = Plan()
    """How repetition is chosen."""
    train: Train = Train()
    """The SFT run."""
    evaluate: Evaluate = Evaluate()
    """How checkpoints are scored."""
