"""Sampling models: one protocol, in process or through a server.

from titer.generate import Request, Sampling, ServerGenerator, TransformersGenerator

generator = TransformersGenerator(model, tokenizer)                          # in this process
generator = ServerGenerator("http://localhost:8000/v1", model="Qwen3-8B")    # vLLM, SGLang, llama.cpp, …
for completion in generator.stream([Request("p1", "What is 3 + 4?", n=8)], Sampling()): ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from titer.generate.protocol import Completion, Generator, Request, Sampling
from titer.generate.servers import ServerGenerator
from titer.generate.stops import cut_at_stop

if TYPE_CHECKING:
    from titer.generate.transformers_engine import TransformersGenerator

__all__ = [
    "Completion",
    "Generator",
    "Request",
    "Sampling",
    "ServerGenerator",
    "TransformersGenerator",
    "cut_at_stop",
]


def __getattr__(name: str) -> object:
    # The engine imports torch, which `titer --help` must not wait for.
    if name == "TransformersGenerator":
        from titer.generate.transformers_engine import TransformersGenerator

        return TransformersGenerator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
