"""Problems, traces and rollouts: what they are, and their way in and out of files.

for trace in read_traces("traces.jsonl.gz"):
    print(trace.teacher, len(trace.reasoning))
write_records("traces.parquet", read_traces("dataset_folder"))
"""

from titer.records.chat import earlier_turns, in_words, kept_turns, question, without_turns
from titer.records.columns import prompt_id
from titer.records.normal import normalised
from titer.records.overlap import (
    Overlap,
    find_overlap,
    find_repeats,
    refuse_overlap,
    repeats_among,
    without_repeats,
    wording,
)
from titer.records.reading import holds_any, read_problems, read_rollouts, read_rows, read_traces
from titer.records.schema import Decision, FinishReason, Problem, Rollout, Trace
from titer.records.thinking import Thought, join_thinking, split_thinking
from titer.records.writing import append_rollouts, write_records

__all__ = [
    "Decision",
    "FinishReason",
    "Overlap",
    "Problem",
    "Rollout",
    "Thought",
    "Trace",
    "append_rollouts",
    "earlier_turns",
    "find_overlap",
    "find_repeats",
    "holds_any",
    "in_words",
    "join_thinking",
    "kept_turns",
    "normalised",
    "prompt_id",
    "question",
    "read_problems",
    "read_rollouts",
    "read_rows",
    "read_traces",
    "refuse_overlap",
    "repeats_among",
    "split_thinking",
    "without_repeats",
    "without_turns",
    "wording",
    "write_records",
]
