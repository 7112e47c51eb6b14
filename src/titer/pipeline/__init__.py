"""The whole path as stages of a run directory: data → measure → curate → train → evaluate → report."""

from titer.pipeline.reporting.report import gather, report
from titer.pipeline.run import run

__all__ = ["gather", "report", "run"]
