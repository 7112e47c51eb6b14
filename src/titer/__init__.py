"""titer fine-tunes language models to reason, and decides by measurement what others leave to habit.

The verbs are in `titer.verbs`; each room is a package of its own.
"""

__version__ = "0.1.0"
