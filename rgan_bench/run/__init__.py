"""One run: its life, its folder, its checkpoints. Knows nothing of sweeps."""
