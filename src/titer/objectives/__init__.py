"""Training objectives and the head that applies them. Needs torch."""

from titer.objectives.divergence import Base, divergence
from titer.objectives.family import Objective, TokenStats, importance, of_function
from titer.objectives.head import Scores, log_probs, score_hidden, score_logits
from titer.objectives.products import Head
from titer.objectives.spec import NAMES, canonical, holds_base, objective, quantiles

__all__ = [
    "NAMES",
    "Base",
    "Head",
    "Objective",
    "Scores",
    "TokenStats",
    "canonical",
    "divergence",
    "holds_base",
    "importance",
    "log_probs",
    "objective",
    "of_function",
    "quantiles",
    "score_hidden",
    "score_logits",
]
