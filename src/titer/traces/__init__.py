"""Reading traces: steps, cue words, and which traces to keep. No torch."""

from titer.traces.curate import Curation, Dropped, curate
from titer.traces.steps import CUES, cue_share, steps

__all__ = ["CUES", "Curation", "Dropped", "cue_share", "curate", "steps"]
