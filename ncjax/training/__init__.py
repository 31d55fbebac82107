"""A training run: the compiled step and epoch, and the loop over epochs."""
