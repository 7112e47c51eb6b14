"""Engines in other processes: vLLM in one of its own, servers that a command starts, actors of a Ray cluster."""
