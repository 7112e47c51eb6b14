"""Supervised fine-tuning: encoding, batches, the loop. Needs torch."""

from titer.train.encode import Sample, encode, encode_all, render, show
from titer.train.loop import Result, train

__all__ = ["Result", "Sample", "encode", "encode_all", "render", "show", "train"]
