"""Problems that say nearly the same, found by MinHash (Broder 1997) through datasketch, and problems inside others.

found = near_duplicates({"p1": "What is 3 + 4?", "p2": "what is 3 + 4"}, threshold=0.8)
found["p2"].id          # "p1"
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from datasketch import MinHash, MinHashLSH

from titer.records.overlap import normalised

SHINGLE = 3  # words
PERMUTATIONS = 128
MISTAKES = (0.1, 0.9)  # of the hashing: a candidate too many costs a comparison, one too few is never seen


CONTAINED = 0.95  # of an evaluation prompt's word sequences: it stands inside, say behind an instruction


class Twin(NamedTuple):
    """The problem that another one resembles, how much, and whether it is for evaluation.

    `similarity` is an estimated Jaccard index or, with `inside`, the share of the evaluation prompt that stands in
    the other.
    """

    id: str
    similarity: float
    evaluation: bool
    inside: bool = False


def near_duplicates(
    prompts: Mapping[str, str], *, threshold: float, against: Mapping[str, str] | None = None, among: bool = True
) -> dict[str, Twin]:
    """The prompts that resemble one of `against`, or hold it, or resemble an earlier one that is kept: id → which.

    Earlier ones are looked at only with `among`. Similarity is the Jaccard index of the sets of three-word sequences
    of the normalised prompts, estimated from 128 permutations (standard error at most .045). Candidates come from
    locality-sensitive hashing: at a threshold of .8 it finds 87 % of the pairs that are just as similar, and 97 % of
    those at .85.
    """
    index = MinHashLSH(threshold=min(threshold, 0.98), num_perm=PERMUTATIONS, weights=MISTAKES)
    hashes: dict[tuple[bool, str], MinHash] = {}
    for name, prompt in (against or {}).items():
        hashes[True, name] = _minhash(prompt)
        index.insert((True, name), hashes[True, name])
    found = _inside(prompts, against or {})
    for name, prompt in prompts.items():
        if name in found:
            continue
        mine = _minhash(prompt)
        similar = [(mine.jaccard(hashes[key]), key) for key in index.query(mine)]
        best = max(((s, key) for s, key in similar if s >= threshold), default=None)
        if best:
            found[name] = Twin(best[1][1], float(best[0]), best[1][0])
        elif among:
            hashes[False, name] = mine
            index.insert((False, name), mine)
    return found


def _inside(prompts: Mapping[str, str], against: Mapping[str, str]) -> dict[str, Twin]:
    """The prompts that hold nearly all word sequences of one of `against`. Exact: every sequence is looked up."""
    sizes, places = dict[str, int](), dict[str, list[str]]()
    for name, prompt in against.items():
        shingles = _shingles(prompt)
        sizes[name] = len(shingles)
        for shingle in shingles:
            places.setdefault(shingle, []).append(name)
    found: dict[str, Twin] = {}
    for name, prompt in prompts.items():
        hits = Counter(other for shingle in _shingles(prompt) for other in places.get(shingle, ()))
        share, best = max(((count / sizes[other], other) for other, count in hits.items()), default=(0.0, ""))
        if share >= CONTAINED:
            found[name] = Twin(best, share, evaluation=True, inside=True)
    return found


def _minhash(prompt: str) -> MinHash:
    made = MinHash(num_perm=PERMUTATIONS, seed=1)
    made.update_batch([shingle.encode() for shingle in sorted(_shingles(prompt))])
    return made


def _shingles(prompt: str) -> set[str]:
    words = normalised(prompt).split()
    return {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
