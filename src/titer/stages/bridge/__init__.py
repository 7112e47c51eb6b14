"""Traces that are too hard to learn from, made learnable."""

from titer.stages.bridge.accept import Bounds, Checks, leak_in, refused
from titer.stages.bridge.build import KINDS, Bridged, Candidate, Kind, Settings, Student, acceptance, bridge

__all__ = [
    "KINDS",
    "Bounds",
    "Bridged",
    "Candidate",
    "Checks",
    "Kind",
    "Settings",
    "Student",
    "acceptance",
    "bridge",
    "leak_in",
    "refused",
]
