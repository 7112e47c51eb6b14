"""Finding D, what goes where: `claims` says what is held against the results, `arm` runs one arm."""

from titer.reproduce.findings.stages.claims import EXPERIMENT

__all__ = ["EXPERIMENT"]
