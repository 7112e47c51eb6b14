"""SFT inside a run: which objective, which traces how often, and the training itself."""
