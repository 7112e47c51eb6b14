"""Supervised fine-tuning: encoding, batches, the loop. Needs torch."""

from titer.train.encode import Sample, encode, encode_all, encode_each, render, show
from titer.train.endpoint import ENDPOINT_RULE
from titer.train.loop import Result, train
from titer.train.state import read_stop
from titer.train.trackers import require_tracker

__all__ = [
    "ENDPOINT_RULE",
    "Result",
    "Sample",
    "encode",
    "encode_all",
    "encode_each",
    "read_stop",
    "render",
    "require_tracker",
    "show",
    "train",
]
