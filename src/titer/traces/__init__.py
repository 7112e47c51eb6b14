"""Reading traces: steps, behaviours, lines of attack, and which traces to keep. No torch.

from titer.traces import curate, read_steps, measure_texts

for step in read_steps(trace.reasoning): print(step.behaviour, step.text)
"""

from titer.traces.choice import RANKINGS
from titer.traces.compare import Comparison, FeatureDifference, compare
from titer.traces.cues import BEHAVIOURS
from titer.traces.curate import Curation, Dropped, curate
from titer.traces.features import DESCRIPTIONS, FEATURES, measure_texts
from titer.traces.probes import delete_steps
from titer.traces.prune import Pruned, prune
from titer.traces.steps import Step, cue_share, cut_text, read_steps, text_of

__all__ = [
    "BEHAVIOURS",
    "DESCRIPTIONS",
    "FEATURES",
    "RANKINGS",
    "Comparison",
    "Curation",
    "Dropped",
    "FeatureDifference",
    "Pruned",
    "Step",
    "compare",
    "cue_share",
    "curate",
    "cut_text",
    "delete_steps",
    "measure_texts",
    "prune",
    "read_steps",
    "text_of",
]
