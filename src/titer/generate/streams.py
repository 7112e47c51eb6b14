"""The random numbers of one sample, from the seed, the request and the sample's number alone.

    uniforms(stream_key(seed=0, request_id="p7", sample=3), count=512)   # float32 in [0, 1)

A sample's numbers do not depend on what it is sampled beside, on the order of requests, or on how many
numbers are asked for, so a run can be resumed, sharded and extended. Ours.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def stream_key(seed: int, request_id: str, sample: int) -> int:
    """128 bits that name one sample's stream, the same in every process."""
    name = f"{seed}/{sample}/{request_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=16).digest(), "little")


def uniforms(key: int, count: int) -> NDArray[np.float32]:
    """The first `count` numbers of a stream, uniform in [0, 1)."""
    return np.random.Generator(np.random.Philox(key=key)).random(count, dtype=np.float32)
