"""Sampling and grading together: what `measure`, `evaluate` and the stages are made of."""

from titer.rollouts.collect import CHUNK, collect
from titer.rollouts.draw import Progress
from titer.rollouts.identity import model_identity
from titer.rollouts.in_rounds import collect_in_rounds
from titer.rollouts.sampler import Sampler, collect_sparing

__all__ = ["CHUNK", "Progress", "Sampler", "collect", "collect_in_rounds", "collect_sparing", "model_identity"]
