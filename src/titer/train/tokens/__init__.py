"""From traces to what the model is trained on: token ids, batches, and the loss of each token."""
