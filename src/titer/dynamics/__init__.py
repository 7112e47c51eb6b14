"""Judging training by how each axis moved: dip, recovery, verdict."""

from titer.dynamics.verdict import judge
from titer.records.results import Verdict

__all__ = ["Verdict", "judge"]
