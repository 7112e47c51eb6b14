"""When the traces are learned: token accuracy on a fixed part of them, its level and its slope.

    plan = plan_probes(updates=640, batch_size=16, samples=1280, most=200)      # size, every
    stop = find_stop([(100, 0.91), (120, 0.953), (140, 0.972)], updates=640, per_epoch=80)

arXiv 2602.11149 finds the best number of epochs where token accuracy saturates, at 96 to 99 %, and gives no rule. Ours:
stop where the last probe is at LEVEL and, with the slope of the last PROBES, either reaches AIM by the end of the
cooldown that a stop begins, or rises by no more than FLAT an epoch. The probe before the first update is not of these:
a line through the steep rise after it reaches anything. The cooldown takes a tenth of the updates so far, so that
stopping early is not stopping at a high learning rate.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

from titer.train.length.schedule import log_grid

logger = logging.getLogger("titer")

LEVEL, AIM, FLAT = 0.96, 0.98, 0.002
LEARNED = 0.99  # where the paper's smaller models have begun to lose
PROBES = 3  # that the slope is taken of
COOLDOWN = 0.1
SHARE = 0.03  # of the training time that all probes together may take
UNSEEN_SHARE = 0.01  # besides, for the loss on samples that are not trained on
FORWARD = 1 / 3  # of a trained sample's time that a probed one takes: no backward pass
USUAL_EPOCHS = 8  # the least that was best in the paper
FEWEST_PROBES, MOST_PROBES = 16, 64  # in the whole budget
FEWEST_SAMPLES = 8  # of a probe, however short the training
ENDPOINT_RULE = (
    f"token accuracy on the fixed subset is at {LEVEL:.0%} or above, and carried on with the slope of the last "
    f"{PROBES} probes reaches {AIM:.0%} by the end of the cooldown, or that slope is at most {FLAT:.1%} an epoch (ours)"
)


class Probes(NamedTuple):
    """How many samples the fixed subset has, and every how many updates it is probed."""

    size: int
    every: int

    def at(self, step: int, updates: int) -> bool:
        """Whether it is probed before update `step`: at the start, at the end, and in between."""
        return step % self.every == 0 or step == updates


class Stop(NamedTuple):
    """The update at which the rule fired, the one with which the cooldown after it ends, and what was measured."""

    fired: int
    end: int
    token_accuracy: float
    slope: float


def plan_probes(*, updates: int, batch_size: int, samples: int, most: int) -> Probes:
    """The largest subset, up to `most`, that can be probed FEWEST_PROBES times in SHARE of the training's time.

    A short training gets a smaller subset before it gets fewer probes; a longer one gets more of them, up to
    MOST_PROBES.
    """
    affordable = SHARE / FORWARD * updates * batch_size  # samples that may be probed in all
    size = max(1, min(most, samples, max(FEWEST_SAMPLES, int(affordable / FEWEST_PROBES))))
    often = max(1, min(MOST_PROBES, int(affordable / size)))
    return Probes(size, max(1, math.ceil(updates / often)))


def warm_up(share: float, *, updates: int, per_epoch: float) -> float:
    """The share of the budget's updates that a training warms up in which the rule may end: `share` of the budget, or
    of USUAL_EPOCHS where these are fewer. A tenth of a budget of which a quarter is used would be most of the training.
    """
    return share * min(1.0, USUAL_EPOCHS * per_epoch / updates)


def plan_unseen(*, updates: int, batch_size: int) -> int:
    """How many samples that are not trained on can be probed at every checkpoint in UNSEEN_SHARE of the training's
    time; FEWEST_SAMPLES, however short it is."""
    return max(FEWEST_SAMPLES, int(UNSEEN_SHARE / FORWARD * updates * batch_size / len(log_grid(updates))))


def warn_of_no_endpoint(probes: Probes, updates: int) -> None:
    """Say that the rule cannot fire, where so few probes come before the end that no slope can be had."""
    if len(range(probes.every, updates, probes.every)) < PROBES:
        logger.warning(
            "train.stop=endpoint cannot end %d updates: their share for probes is too small, and all are made",
            updates,
        )


def find_stop(probed: Sequence[tuple[int, float]], *, updates: int, per_epoch: float) -> Stop | None:
    """The stop that the last probe, of (update, token accuracy) each, calls for; None as long as there is none."""
    step, accuracy = probed[-1]
    last = [probe for probe in probed if probe[0] > 0][-PROBES:]
    if len(last) < PROBES or accuracy < LEVEL:
        return None
    slope = slope_of(last)
    cooldown = max(1, math.ceil(COOLDOWN * step))
    if accuracy + slope * cooldown < AIM and slope * per_epoch > FLAT:
        return None
    return Stop(step, min(updates, step + cooldown), accuracy, slope)


def slope_of(probed: Sequence[tuple[int, float]]) -> float:
    """Rise of token accuracy an update, by least squares."""
    mean_step = sum(step for step, _ in probed) / len(probed)
    spread = sum((step - mean_step) ** 2 for step, _ in probed)
    return sum((step - mean_step) * accuracy for step, accuracy in probed) / spread


def warn_of_repetition(probed: Sequence[tuple[int, float]], updates: int) -> None:
    """Say once, at the first probe that is LEARNED, that the rest of the budget may only cost."""
    (step, accuracy), earlier = probed[-1], [accuracy for _, accuracy in probed[:-1]]
    if accuracy >= LEARNED and step < updates and all(one < LEARNED for one in earlier):
        logger.warning(
            "token accuracy is %.1f %% after %d of %d updates: the traces are learned, and repeating them further can "
            "cost what was gained (arXiv 2602.11149); train.stop=endpoint ends there",
            100 * accuracy,
            step,
            updates,
        )


def cooled(rate: float, step: int, stop: Stop | None) -> float:
    """The learning rate of update `step`, which a stop takes to zero in a straight line."""
    if stop is None or step < stop.fired:
        return rate
    return rate * (stop.end - step) / max(1, stop.end - stop.fired)
