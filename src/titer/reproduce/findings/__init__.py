"""The findings themselves, one module or folder each with an EXPERIMENT in it, and what their arms have in common."""
