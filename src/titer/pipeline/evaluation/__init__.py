"""Evaluation inside a run: rollouts of the checkpoints, what they cost, and the curves that are judged."""
