"""Sampling and grading together: what `measure` and `evaluate` (and later the stages) are made of."""

from titer.rollouts.collect import CHUNK, Progress, collect

__all__ = ["CHUNK", "Progress", "collect"]
