"""Training objectives and the head that applies them. Needs torch."""

from titer.objectives.family import OBJECTIVES, Objective, nll, objective, p
from titer.objectives.head import TokenScores, score_tokens

__all__ = ["OBJECTIVES", "Objective", "TokenScores", "nll", "objective", "p", "score_tokens"]
