"""Sampling through OpenAI-compatible servers, one or several of one model."""

from titer.generate.servers.generator import ServerGenerator, addresses

__all__ = ["ServerGenerator", "addresses"]
