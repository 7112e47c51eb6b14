"""Finding B, when to judge, and on what: `claims` says what is held against the results, `arm` runs one arm."""

from titer.reproduce.findings.recovery.claims import EXPERIMENT

__all__ = ["EXPERIMENT"]
