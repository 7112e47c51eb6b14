"""How many rows fit into memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import random_models
from transformers import DynamicCache

from titer.generate.kv import as_cache
from titer.generate.memory import MOST_ROWS, RowBudget, fixed_rows, free_bytes, kv_bytes_per_token, row_budget

MODELS = random_models()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bytes_per_token_are_those_of_a_real_cache(name: str, dtype: torch.dtype) -> None:
    model = MODELS[name].to(dtype)
    cache = DynamicCache()
    model(torch.ones(3, 5, dtype=torch.long), **as_cache(model, cache))
    real = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert kv_bytes_per_token(model) * 3 * 5 == real
    MODELS[name].to(torch.float32)


@given(st.integers(1, 10**12), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**5))
def test_the_rows_fit_unless_even_one_does_not(total: int, per_row: int, per_column: int, columns: int) -> None:
    rows = RowBudget(total, per_row, per_column).rows(columns)
    row = per_row + per_column * columns
    assert 1 <= rows <= MOST_ROWS
    assert rows == 1 or rows * row <= total
    assert rows == MOST_ROWS or (rows + 1) * row > total


def test_twice_the_memory_gives_twice_the_rows() -> None:
    few, many = (row_budget(MODELS["llama"], free=free).rows(1000) for free in (10_000_000, 20_000_000))
    assert few > 1
    assert many in (2 * few, 2 * few + 1)


def test_fixed_rows_do_not_depend_on_length() -> None:
    assert {fixed_rows(7).rows(columns) for columns in (1, 10**6)} == {7}
    assert fixed_rows(1000).rows(10) == 1000


def test_free_memory_is_what_the_machine_has() -> None:
    assert 10**6 < free_bytes(torch.device("cpu")) < 10**15
