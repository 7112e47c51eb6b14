"""Findings of papers, tried in the lab: `titer reproduce branching`.

from titer.reproduce import reproduce, stored

table = reproduce("branching", seeds=5)     # or stored("branching"): the finished table that comes with titer
table = reproduce_all(seeds=5)              # or stored_all(): the five findings in one
"""

from titer.reproduce.engine import JobError, reproduce
from titer.reproduce.every import reproduce_all, stored_all
from titer.reproduce.experiment import NAMES
from titer.reproduce.tables import stored

__all__ = ["NAMES", "JobError", "reproduce", "reproduce_all", "stored", "stored_all"]
