"""Rounds of SFT, RL and critique inside a run."""

from titer.pipeline.rounds.loop import check_rounds, leave_out_rounds, run_rounds

__all__ = ["check_rounds", "leave_out_rounds", "run_rounds"]
