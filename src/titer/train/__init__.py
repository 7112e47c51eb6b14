"""Supervised fine-tuning: encoding, batches, the loop. Needs torch."""

from titer.train.encode import Sample, encode, encode_all, encode_each, render, show
from titer.train.loop import Result, train
from titer.train.trackers import require_tracker

__all__ = ["Result", "Sample", "encode", "encode_all", "encode_each", "render", "require_tracker", "show", "train"]
