"""Supervised fine-tuning: encoding, batches, the loop. Needs torch."""

from titer.train.disk.state import read_stop
from titer.train.length.budget import in_updates, unique_samples
from titer.train.length.endpoint import ENDPOINT_RULE
from titer.train.length.saturation import Probe, Saturation, epochs_to_saturation
from titer.train.length.warm_up import seconds_an_update
from titer.train.loop import Result, train
from titer.train.tokens.encode import Sample, encode, encode_all, encode_each, show
from titer.train.tokens.render import render
from titer.train.tokens.token_loss import token_divergences, token_stats
from titer.train.watch.trackers import require_tracker

__all__ = [
    "ENDPOINT_RULE",
    "Probe",
    "Result",
    "Sample",
    "Saturation",
    "encode",
    "encode_all",
    "encode_each",
    "epochs_to_saturation",
    "in_updates",
    "read_stop",
    "render",
    "require_tracker",
    "seconds_an_update",
    "show",
    "token_divergences",
    "token_stats",
    "train",
    "unique_samples",
]
