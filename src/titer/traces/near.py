"""Problems that say nearly the same, found by MinHash (Broder 1997) through datasketch.

found = near_duplicates({"p1": "What is 3 + 4?", "p2": "what is 3 + 4"}, threshold=0.8)
found["p2"].id          # "p1"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from datasketch import MinHash, MinHashLSH

from titer.records.overlap import normalised

SHINGLE = 3  # words
PERMUTATIONS = 128
MISTAKES = (0.1, 0.9)  # of the hashing: a candidate too many costs a comparison, one too few is never seen


class Twin(NamedTuple):
    """The problem that another one resembles, their estimated Jaccard similarity, and whether it is for evaluation."""

    id: str
    similarity: float
    evaluation: bool


def near_duplicates(
    prompts: Mapping[str, str], *, threshold: float, against: Mapping[str, str] | None = None
) -> dict[str, Twin]:
    """The prompts that resemble one of `against`, or an earlier one that is kept: id → what it resembles.

    Similarity is the Jaccard index of the sets of three-word sequences of the normalised prompts, estimated from 128
    permutations (standard error at most .045). Candidates come from locality-sensitive hashing: at a threshold of .8 it
    finds 87 % of the pairs that are just as similar, and 97 % of those at .85.
    """
    index = MinHashLSH(threshold=min(threshold, 0.98), num_perm=PERMUTATIONS, weights=MISTAKES)
    hashes: dict[tuple[bool, str], MinHash] = {}
    for name, prompt in (against or {}).items():
        hashes[True, name] = _minhash(prompt)
        index.insert((True, name), hashes[True, name])
    found: dict[str, Twin] = {}
    for name, prompt in prompts.items():
        mine = _minhash(prompt)
        similar = [(mine.jaccard(hashes[key]), key) for key in index.query(mine)]
        best = max(((s, key) for s, key in similar if s >= threshold), default=None)
        if best:
            found[name] = Twin(best[1][1], float(best[0]), best[1][0])
        else:
            hashes[False, name] = mine
            index.insert((False, name), mine)
    return found


def _minhash(prompt: str) -> MinHash:
    words = normalised(prompt).split()
    shingles = {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
    made = MinHash(num_perm=PERMUTATIONS, seed=1)
    made.update_batch([shingle.encode() for shingle in sorted(shingles)])
    return made
