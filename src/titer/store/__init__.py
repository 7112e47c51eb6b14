"""The run directory: stages, manifest, tables, atomic writes."""

from titer.store.atomic import append_line, publish, write_json, write_text
from titer.store.layout import MANIFEST, STAGE_AGAIN, TRAINING_AGAIN, read_json, read_lines
from titer.store.mirror import Mirror, fetched
from titer.store.run import Run, content_hash, file_hash, read_manifest, versions
from titer.store.tables import read_table, write_table

__all__ = [
    "MANIFEST",
    "STAGE_AGAIN",
    "TRAINING_AGAIN",
    "Mirror",
    "Run",
    "append_line",
    "content_hash",
    "fetched",
    "file_hash",
    "publish",
    "read_json",
    "read_lines",
    "read_manifest",
    "read_table",
    "versions",
    "write_json",
    "write_table",
    "write_text",
]
