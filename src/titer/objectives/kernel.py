"""`rows.fold_rows` on a GPU: one Triton program a row, which reads its logits twice and writes them once.

    found_n5 = fold_on_gpu(logits_nV, targets_n, collision=False, softcap=None)

Triton comes with torch where there is CUDA. Nothing but `rows` imports this module, and only when there is a GPU.
"""

from __future__ import annotations

import torch
import triton  # type: ignore[import-not-found,import-untyped,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,import-untyped,unused-ignore]
from torch import Tensor

BLOCK = 4096  # logits that a program holds at a time
WARPS = 8  # which is 16 logits a thread


def fold_on_gpu(z_nV: Tensor, targets_n: Tensor, *, collision: bool, softcap: float | None) -> Tensor:
    """Overwrite float32 logits, the columns next to each other, as `fold_rows` says, and return of each row (n, 5).

    With z less the row's greatest and e = exp(z): z and e of the target, and of all others Σe, Σe·z and, if `collision`
    (else 0), Σe². A target that is outside of the vocabulary gives NaN.
    """
    count, width = z_nV.shape
    found_n5 = torch.empty(count, 5, device=z_nV.device)
    if count:
        # Triton launches on the current device, whatever the tensors' is
        with torch.cuda.device_of(z_nV):  # type: ignore[no-untyped-call]
            _fold_row[(count,)](
                *(z_nV, targets_n, found_n5, z_nV.stride(0), targets_n.stride(0), width, softcap),
                COLLISION=collision,
                SIZE=BLOCK,
                num_warps=WARPS,
                enable_fp_fusion=True,  # whose default differs between versions of Triton
            )
    return found_n5


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _fold_row(
    z_at: tl.tensor,
    targets_at: tl.tensor,
    found_at: tl.tensor,
    row_stride: tl.tensor,
    target_stride: tl.tensor,
    width: tl.tensor,
    softcap: tl.tensor,
    COLLISION: tl.constexpr,
    SIZE: tl.constexpr,
) -> None:
    """Fold one row; `softcap` is None where there is none."""
    row = tl.program_id(0).to(tl.int64)  # rows × columns may be beyond 2^31
    z_at += row * row_stride
    target = tl.load(targets_at + row * target_stride)
    z_target = tl.load(z_at + target, mask=(target >= 0) & (target < width), other=float("nan"))
    target = target.to(tl.int32)  # as the columns are
    lanes = tl.arange(0, SIZE)

    # Each lane sums its own columns. A greatest logit that is finite from the start keeps −inf − −inf out of this.
    greatest = -3.4e38
    others, product = tl.zeros([SIZE], tl.float32), tl.zeros([SIZE], tl.float32)
    square = tl.zeros([SIZE], tl.float32)
    for first in range(0, width, SIZE):
        columns = first + lanes
        z = tl.load(z_at + columns, mask=columns < width, other=float("-inf"))
        before = greatest
        greatest = tl.maximum(before, tl.max(z, 0))
        fall = before - greatest
        shrink = tl.exp(fall)
        counts = (columns < width) & (columns != target)
        z = tl.where(counts, z - greatest, 0.0)
        e = tl.where(counts, tl.exp(z), 0.0)
        product = (product + others * fall) * shrink + e * z
        others = others * shrink + e
        if COLLISION:
            square = square * (shrink * shrink) + e * e
    others_sum = tl.sum(others, 0)
    z_target -= greatest
    found_at += row * 5
    # a GPU's max passes over NaN, which must not make the target a hit
    tl.store(found_at, tl.where(others_sum >= 0, z_target, float("nan")))
    tl.store(found_at + 1, tl.exp(z_target))
    tl.store(found_at + 2, others_sum)
    tl.store(found_at + 3, tl.sum(product, 0))
    tl.store(found_at + 4, tl.sum(square, 0))

    for first in range(0, width, SIZE):
        columns = first + lanes
        z = tl.load(z_at + columns, mask=columns < width, other=0.0)
        e = tl.where(columns == target, -others_sum, tl.exp(z - greatest))
        if softcap is not None:
            # 1 − (z/c)², whose digits c − z keeps where z is near c
            e *= ((softcap - z) / softcap) * ((softcap + z) / softcap)
        tl.store(z_at + columns, e, mask=columns < width)
