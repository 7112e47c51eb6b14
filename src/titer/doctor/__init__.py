"""What this machine can do with a recipe: what is there, whether it fits, and how long it takes."""

from titer.doctor.machine import Engine, Machine, inspect
from titer.doctor.memory import Memory, UnpredictableError, measured_peak, predict
from titer.doctor.pace import Pace, StageTime, expected, probe

__all__ = [
    "Engine",
    "Machine",
    "Memory",
    "Pace",
    "StageTime",
    "UnpredictableError",
    "expected",
    "inspect",
    "measured_peak",
    "predict",
    "probe",
]
