"""What is seen of a training while it runs: bar, trackers, where the gradient goes."""
