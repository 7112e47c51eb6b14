"""Engines that work in other processes: vLLM in one of its own, actors of a Ray cluster."""
