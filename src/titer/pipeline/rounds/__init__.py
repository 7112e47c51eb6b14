"""Rounds of SFT, RL and critique inside a run."""

from titer.pipeline.rounds.loop import leave_out_rounds, run_rounds

__all__ = ["leave_out_rounds", "run_rounds"]
