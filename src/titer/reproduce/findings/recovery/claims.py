"""Finding B in the lab: does an axis dip and recover, on which traces, from which base, and what becomes of safety
(arXiv 2604.06628).

    titer reproduce recovery

The lab model holds four axes: countdown (in-domain), search under other rules (out-of-domain), sorting, reversing and
comparing (general), and a rule of what to refuse, with look-alikes (safety). It is fine-tuned for 160 updates, eight
epochs, on long traces, and every checkpoint of the grid is evaluated with the same seeds. Other arms differ in one
thing: corrupted traces, a weak base, no thinking, a rehearsal set. A seed draws problems, traces, the order of training
and the held-out problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from titer.reproduce.experiment import Claim, Experiment, Measures, versus
from titer.reproduce.findings.recovery.arm import ARMS, SCALES, WEAK, Settings, prepare_weak, run_arm
from titer.reproduce.verdict import Direction

DIP = "Qwen3-4B, MATH500: 70.8 at the base, 62.9 at update 20, 86.2 at 640"
GENERAL = "Qwen3-4B, IFEval: 49.2 at the base, 33.0 at update 20, 49.4 at 640"
QUALITY = "verified long traces yield consistent gains, low-quality ones hurt; no one figure"
WEAKER = "Qwen3-1.7B: no broad recovery, verbose"
THINKING = "Qwen3-14B, MATH/AIME/LCB: base 77.8/14.7/37.5, with 95.1/66.0/55.1, without 82.4/17.0/40.3"
SAFETY = "safety gets worse while reasoning gets better; far less so without the thinking"
NAKED = "without-thinking"
OURS = "no published remedy; ours"


def job(arm: str, seed: int, settings: Mapping[str, Any], folder: Path) -> Measures:
    """Train and follow one arm."""
    return run_arm(arm, seed, Settings(**settings), folder)


def prepare(name: str, settings: Mapping[str, Any], folder: Path) -> Measures:
    """Pre-train the weak base, into `folder/model`."""
    return prepare_weak(Settings(**settings), folder)


def _one(claim: str, paper: str, measure: str, direction: Direction) -> Claim:
    return Claim(claim, paper, measure, {"verified": 1.0}, direction)


def _two(claim: str, paper: str, measure: str, arm: str, other: str, direction: Direction = "above") -> Claim:
    return Claim(claim, paper, measure, versus(arm, other), direction)


CLAIMS = (
    _one("in-domain gains by the last update", DIP, "in_domain_last", "above"),
    _one("out-of-domain is below the base at updates 10 to 40", DIP, "out_of_domain_early", "below"),
    _one("out-of-domain rises again from there to the last", DIP, "out_of_domain_rise", "above"),
    _one("out-of-domain passes the base", DIP, "out_of_domain_last", "above"),
    _one("general is below the base at updates 10 to 40", GENERAL, "general_early", "below"),
    _one("general rises again from there to the last", GENERAL, "general_rise", "above"),
    _one("out-of-domain completions are longer at updates 10 to 40", DIP, "out_of_domain_surge", "above"),
    _two("verified traces against corrupted: in-domain", QUALITY, "in_domain_last", "verified", "corrupted"),
    _two("verified traces against corrupted: out-of-domain", QUALITY, "out_of_domain_last", "verified", "corrupted"),
    _two("verified traces against corrupted: general", QUALITY, "general_last", "verified", "corrupted"),
    _two("strong base against weak: out-of-domain rises more", WEAKER, "out_of_domain_rise", "verified", "weak"),
    _two("strong base against weak: general rises more", WEAKER, "general_rise", "verified", "weak"),
    _two("with thinking against without: in-domain", THINKING, "in_domain_last", "verified", NAKED),
    _two("without thinking against with: a smaller dip", THINKING, "out_of_domain_early", NAKED, "verified"),
    _one("safety is below the base at the last update", SAFETY, "safety_last", "below"),
    _two("without thinking against with: safety", SAFETY, "safety_last", NAKED, "verified"),
    _two("a tenth rehearsed against none: safety", OURS, "safety_last", "rehearsal", "verified"),
    _two("a tenth rehearsed against none: in-domain is lost", OURS, "in_domain_last", "rehearsal", "verified", "below"),
    _one("an earlier checkpoint with nine tenths of the gain: safety", OURS, "safety_earlier", "above"),
    _one("that earlier checkpoint: out-of-domain", OURS, "out_of_domain_earlier", "above"),
)  # fmt: skip

EXPERIMENT = Experiment(
    name="recovery",
    module=__name__,
    arms=ARMS,
    settings=Settings()._asdict(),
    job=job,
    claims=CLAIMS,
    shared=(WEAK,),
    prepare=prepare,
    scales=SCALES,
)
