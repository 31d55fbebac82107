"""What is said of a run in one sentence: a file for each kind of labels."""
