"""What a run leaves: its folder, its history, checkpoints and figures."""
