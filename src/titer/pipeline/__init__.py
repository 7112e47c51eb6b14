"""The whole path as stages of a run directory: data → measure → curate → train → evaluate → report."""

from titer.pipeline.reporting.gather import gather
from titer.pipeline.reporting.report import report
from titer.pipeline.run import run

__all__ = ["gather", "report", "run"]
