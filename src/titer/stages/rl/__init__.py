"""RL with verified rewards: GRPO through TRL."""

from titer.stages.rl.groups import Group, never_solved, read_groups
from titer.stages.rl.grpo import Trained, grpo, require_trl

__all__ = ["Group", "Trained", "grpo", "never_solved", "read_groups", "require_trl"]
