"""Finding D in the lab: which problems go to SFT, bridge, RL and critique (arXiv 2606.04466).

    titer reproduce stages

The student is the lab model, warm-started for a few updates on the convergent teacher, so that it thinks in words and
solves some of three-number countdowns and few of four-number ones. It is to learn from traces of other problems, one in
two by the divergent teacher, and from RL on these, within one budget: tokens through training and tokens sampled,
measurement, bridge and critique included. Every arm spends it in another way. Smaller arms fine-tune on the hard traces
alone, raw or as one kind of candidate of the bridge. A seed draws the problems, the traces, the order of training, the
rollouts and the held-out problems; the student is shared by all seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from titer.reproduce.experiment import Claim, Experiment, Measures, versus
from titer.reproduce.findings.stages.arm import run_arm
from titer.reproduce.findings.stages.settings import ARMS, BASE, BRIDGES, SCALES, STUDENT, Settings
from titer.reproduce.findings.stages.student import warm_up

PASS_1, PASS_8, OUTSIDE = "in_domain_accuracy", "in_domain_pass_8", "out_of_domain_accuracy"
WHOLE = "Qwen2.5-0.5B-Instruct, mean of five sets: base 39.38, GRPO only 44.05, the method 49.69"
LLAMA = "Llama-3.2-1B-Instruct, mean of five sets: base 16.22, the method 48.53"
NO_FIGURE = "part of the method; no figure of its own here"
OPPOSITE = "2603.11193 allocates the other way round; no figure here"
MEASURES = {"pass@1": PASS_1, "pass@8": PASS_8, "out of domain": OUTSIDE}


def job(arm: str, seed: int, settings: Mapping[str, Any], folder: Path) -> Measures:
    """Spend the budget as the arm says, and evaluate."""
    return run_arm(arm, seed, Settings(**settings), folder)


def prepare(name: str, settings: Mapping[str, Any], folder: Path) -> Measures:
    """Warm the student up, into `folder`."""
    return warm_up(Settings(**settings), folder)


STEPS = (
    ("the whole method, against SFT alone", "routed-bridge-critique", "sft", WHOLE),
    ("the whole method, against RL alone", "routed-bridge-critique", "rl", WHOLE),
    ("the whole method, against the base", "routed-bridge-critique", BASE, LLAMA),
    ("SFT, then RL, on everything, against SFT alone", "sft-rl", "sft", NO_FIGURE),
    ("SFT, then RL, on everything, against RL alone", "sft-rl", "rl", NO_FIGURE),
    ("routed by bands, against everything to both", "routed", "sft-rl", NO_FIGURE),
    ("with the bridge, against without", "routed-bridge", "routed", NO_FIGURE),
    ("with critique, against without", "routed-bridge-critique", "routed-bridge", NO_FIGURE),
    ("routed by bands, against the opposite", "routed", "opposite", OPPOSITE),
)
CLAIMS = (
    *(
        Claim(f"{said}: {way} above", paper, measure, versus(arm, other), "above")
        for said, arm, other, paper in STEPS
        for way, measure in MEASURES.items()
    ),
    *(
        Claim(
            f"SFT on hard traces {said}: the hard problems above SFT on the raw ones",
            NO_FIGURE,
            "hard_accuracy",
            versus(f"hard-{name}", "hard-raw"),
            "above",
        )
        for name, said in BRIDGES.items()
        if name != "raw"
    ),
)

EXPERIMENT = Experiment(
    name="stages",
    module=__name__,
    arms=(BASE, *ARMS, *(f"hard-{name}" for name in BRIDGES)),
    settings=Settings()._asdict(),
    job=job,
    claims=CLAIMS,
    shared=(STUDENT,),
    prepare=prepare,
    scales=SCALES,
)
