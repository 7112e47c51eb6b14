"""What samples the models: the engine, and where it runs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from titer.recipe.block import Block


class Ray(Block):
    """A Ray cluster that samples."""

    harmless: ClassVar[frozenset[str]] = frozenset({"address", "workers", "cpus", "gpus"})
    address: str | None = None
    """Of a cluster; auto for the one that this machine belongs to; by default one of this machine alone."""
    workers: Annotated[int, Field(gt=0)] = 2
    """Actors, each with a model of its own."""
    cpus: Annotated[float, Field(ge=0)] = 1.0
    """Cores of an actor."""
    gpus: Annotated[float, Field(ge=0)] = 0.0
    """GPUs of an actor."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """What samples inside an actor."""


class Generate(Block):
    """What samples the models."""

    # not `serve` and `vllm`, whose options may say how exactly a model computes, and not `chunk`, by which rollouts
    # that stand there are gone on with
    harmless: ClassVar[frozenset[str]] = frozenset({"servers", "vllm_python", "batch_size"})
    engine: Literal["transformers", "vllm", "server", "ray"] = "transformers"
    """transformers: titer's engine in this process. vllm: vLLM in a process of its own. server: servers that `serve`
    starts, a set for each model that is sampled. ray: actors of a cluster. A model that a server has already is named
    on the command line (`--server`)."""
    serve: str = ""
    """What serves a model, such as `vllm serve {model} --port {port}`; `{index}` tells several apart."""
    servers: Annotated[int, Field(gt=0)] = 1
    """How many of them, where engine is server."""
    vllm_python: str = ""
    """The interpreter that has vLLM, which wants an environment of its own; by default this one."""
    vllm: dict[str, Any] = {}
    """vLLM's own settings by its names: tensor_parallel_size, gpu_memory_utilization, …"""
    ray: Ray = Ray()
    """The cluster, where engine is ray."""
    batch_size: Annotated[int, Field(gt=0)] | None = None
    """Rows decoded together; by default as many as fit the memory."""
    chunk: Annotated[int, Field(gt=0)] = 512
    """Rollouts between two writes to disk: what a crash can cost."""

    @model_validator(mode="after")
    def _servers_serve(self) -> Self:
        if self.servers > 1 and self.engine != "server":
            raise PydanticCustomError("servers", "servers are started with engine=server alone: add it")
        return self
