"""Verbs on files of traces: measure, filter, compare, label, show, prune, delete.

from titer.verbs import traces

traces.measure("traces.jsonl", out="features.parquet").means["R1"]["propose_share"]
traces.filter("traces.jsonl", out="kept", by="cue_share", keep=0.9).kept
traces.compare("traces.jsonl", a="R1", b="gpt-oss").comparison.features["propose_share"]
"""

from titer.verbs.traces.choose import Filtered, PrunedFile, filter, prune
from titer.verbs.traces.compare import Compared, compare, comparison_json
from titer.verbs.traces.delete import Deleted, delete
from titer.verbs.traces.look import Labelled, ShownTrace, label, show
from titer.verbs.traces.measure import Measured, measure

__all__ = [
    "Compared",
    "Deleted",
    "Filtered",
    "Labelled",
    "Measured",
    "PrunedFile",
    "ShownTrace",
    "compare",
    "comparison_json",
    "delete",
    "filter",
    "label",
    "measure",
    "prune",
    "show",
]
