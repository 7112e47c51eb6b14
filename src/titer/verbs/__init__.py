"""Every verb of the command line as a Python function of the same name.

from titer.verbs import bridge, critique, doctor, eval, measure, report, rl, route, run, sft, traces
"""

from titer.pipeline.run import run
from titer.verbs import traces
from titer.verbs.bridge import BridgeResult, bridge
from titer.verbs.critique import CritiqueResult, critique
from titer.verbs.doctor import DoctorResult, doctor
from titer.verbs.eval import EvalResult, eval
from titer.verbs.judge import JudgeResult, judge
from titer.verbs.measure import MeasureResult, measure
from titer.verbs.prior import PriorResult, prior
from titer.verbs.report import ComparedRuns, compare_runs, report
from titer.verbs.rl import RlResult, rl
from titer.verbs.route import RouteResult, route
from titer.verbs.sft import SftResult, ShownSample, sft, show_sample
from titer.verbs.verdict import verdict

__all__ = [
    "BridgeResult",
    "ComparedRuns",
    "CritiqueResult",
    "DoctorResult",
    "EvalResult",
    "JudgeResult",
    "MeasureResult",
    "PriorResult",
    "RlResult",
    "RouteResult",
    "SftResult",
    "ShownSample",
    "bridge",
    "compare_runs",
    "critique",
    "doctor",
    "eval",
    "judge",
    "measure",
    "prior",
    "report",
    "rl",
    "route",
    "run",
    "sft",
    "show_sample",
    "traces",
    "verdict",
]
