"""How long a training lasts: its budget, its schedule, and the endpoint."""
