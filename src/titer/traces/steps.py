"""Steps of a reasoning, and the cue words that open a new line of attack.

steps("First, …\\n\\nPerhaps …")         # ["First, …", "Perhaps …"]
cue_share("First, …\\n\\nPerhaps …")     # 0.5
"""

from __future__ import annotations

import re

# arXiv 2604.01702, second proxy: the words themselves are the paper's
CUES = re.compile(r"\b(perhaps|another|alternatively)\b", re.IGNORECASE)


def steps(reasoning: str) -> list[str]:
    """Paragraphs, or lines where there are no paragraphs. Ours: the paper publishes no segmentation rule."""
    parts = re.split(r"\n\s*\n", reasoning) if re.search(r"\n\s*\n", reasoning) else reasoning.split("\n")
    return [part.strip() for part in parts if part.strip()]


def cue_share(reasoning: str) -> float:
    """Share of steps that contain Perhaps, Another or Alternatively (arXiv 2604.01702, proxy 2); 0 without steps."""
    found = steps(reasoning)
    return sum(bool(CUES.search(step)) for step in found) / len(found) if found else 0.0
