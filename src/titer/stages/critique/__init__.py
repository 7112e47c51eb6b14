"""What never came right, taken apart: the first wrong step, and lessons made of it."""

from titer.stages.critique.build import LOCATORS, Criticized, Locator, Settings, attempts_of, critique
from titer.stages.critique.lessons import LESSONS, Lesson
from titer.stages.critique.locate import Attempt, Located, by_arithmetic, by_judge, by_rollouts

__all__ = [
    "LESSONS",
    "LOCATORS",
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
