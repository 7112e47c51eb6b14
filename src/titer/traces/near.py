"""Problems that say nearly the same, found by MinHash (Broder 1997) through datasketch, and problems inside others.

found = near_duplicates({"p1": "What is 3 + 4?", "p2": "what is 3 + 4"}, threshold=0.8)
found["p2"].id          # "p1"
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from datasketch import MinHash, MinHashLSH

from titer.records.normal import normalised

SHINGLE = 3  # words
PERMUTATIONS = 128
MISTAKES = (0.1, 0.9)  # of the hashing: a candidate too many costs a comparison, one too few is never seen
FEWEST, MANY = 10, 0.2  # prompts, and share of them, that have what is taken for their template
TELLING = 40  # prompts from which on a template can be told from problems that resemble each other
SAMPLED = 2000  # prompts on which that is found
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
    of the normalised prompts, estimated from 128 permutations (standard error at most .045), without the sequences that
    many prompts have: what a template says makes no two problems alike. Candidates come from locality-sensitive
    hashing: at a threshold of .8 it finds 87 % of the pairs that are just as similar, and 97 % of those at .85.
    """
    against = against or {}
    template = _template(against)
    found = _inside(prompts, against, template)
    known = _Hashes(threshold)
    for name, prompt in against.items():
        known.add(name, _minhash(prompt, template))
    left = {name: prompt for name, prompt in prompts.items() if name not in found}
    for name, prompt in left.items() if against else ():
        if best := known.nearest(_minhash(prompt, template)):
            found[name] = Twin(*best, evaluation=True)
    if not among:
        return found
    template, kept = _template(prompts), _Hashes(threshold)
    for name, prompt in prompts.items():
        if name in found:
            continue
        mine = _minhash(prompt, template)
        if best := kept.nearest(mine):
            found[name] = Twin(*best, evaluation=False)
        else:
            kept.add(name, mine)
    return found


class _Hashes:
    """Prompts by their hashes."""

    def __init__(self, threshold: float) -> None:
        self._index = MinHashLSH(threshold=min(threshold, 0.98), num_perm=PERMUTATIONS, weights=MISTAKES)
        self._hashes: dict[str, MinHash] = {}
        self._threshold = threshold

    def add(self, name: str, made: MinHash) -> None:
        self._hashes[name] = made
        self._index.insert(name, made)

    def nearest(self, made: MinHash) -> tuple[str, float] | None:
        """The one that is most similar, and how much; None where none reaches the threshold."""
        similar = [(float(made.jaccard(self._hashes[name])), name) for name in self._index.query(made)]
        similarity, name = max(similar, default=(0.0, ""))
        return (name, similarity) if name in self._hashes and similarity >= self._threshold else None


def _template(prompts: Mapping[str, str]) -> frozenset[str]:
    """The word sequences that many prompts have, found on an even sample of them."""
    some = list(prompts.values())[:: max(1, len(prompts) // SAMPLED)]
    if len(some) < TELLING:
        return frozenset()
    counts = Counter(shingle for prompt in some for shingle in _shingles(prompt))
    many = max(FEWEST, MANY * len(some))
    return frozenset(shingle for shingle, count in counts.items() if count >= many)


def _inside(prompts: Mapping[str, str], against: Mapping[str, str], template: frozenset[str]) -> dict[str, Twin]:
    """The prompts that hold nearly all word sequences of one of `against`, and nearly all of those that it has beside a
    template. Exact: every sequence is looked up."""
    sizes, places, every = dict[str, int](), dict[str, list[str]](), dict[str, set[str]]()
    for name, prompt in against.items():
        shingles = _own(prompt, template)
        sizes[name], every[name] = len(shingles), _shingles(prompt)
        for shingle in shingles:
            places.setdefault(shingle, []).append(name)
    found: dict[str, Twin] = {}
    for name, prompt in prompts.items():
        mine = _shingles(prompt)
        hits = Counter(other for shingle in mine for other in places.get(shingle, ()))
        near = [other for other, count in hits.items() if count / sizes[other] >= CONTAINED]
        share, best = max(((len(every[other] & mine) / len(every[other]), other) for other in near), default=(0.0, ""))
        if share >= CONTAINED:
            found[name] = Twin(best, share, evaluation=True, inside=True)
    return found


def _minhash(prompt: str, template: frozenset[str]) -> MinHash:
    made = MinHash(num_perm=PERMUTATIONS, seed=1)
    made.update_batch([shingle.encode() for shingle in sorted(_own(prompt, template))])
    return made


def _own(prompt: str, template: frozenset[str]) -> set[str]:
    """A prompt's word sequences beside those of a template; all where it has no others."""
    every = _shingles(prompt)
    return every - template or every


def _shingles(prompt: str) -> set[str]:
    words = normalised(prompt).split()
    return {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
