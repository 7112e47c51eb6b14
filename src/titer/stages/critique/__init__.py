"""What never came right, taken apart: the first wrong step, and lessons made of it."""

from titer.stages.critique.build import Criticized, Locator, Settings, attempts_of, critique
from titer.stages.critique.lessons import Lesson
from titer.stages.critique.locate import Attempt, Located, by_arithmetic, by_judge, by_rollouts

__all__ = [
    "Attempt",
    "Criticized",
    "Lesson",
    "Located",
    "Locator",
    "Settings",
    "attempts_of",
    "by_arithmetic",
    "by_judge",
    "by_rollouts",
    "critique",
]
