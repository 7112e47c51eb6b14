"""Sampling and grading together: what `measure` and `evaluate` (and later the stages) are made of."""

from titer.rollouts.collect import CHUNK, Progress, collect
from titer.rollouts.identity import model_identity

__all__ = ["CHUNK", "Progress", "collect", "model_identity"]
