"""What all judging by language models shares: quoting untrusted text, asking once and keeping the answer, agreement."""

from titer.judges.agreement import Agreement, agreement
from titer.judges.asking import Asking, Progress, as_lines
from titer.judges.quoting import clean, quoted

__all__ = ["Agreement", "Asking", "Progress", "agreement", "as_lines", "clean", "quoted"]
