"""Finding C, how long: `claims` says what is held against the results, `arm` runs one arm."""

from titer.reproduce.findings.repetition.claims import EXPERIMENT

__all__ = ["EXPERIMENT"]
