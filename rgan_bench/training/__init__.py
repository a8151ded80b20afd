"""The loop, its state and its random numbers, and what makes it fast. Knows nothing of files or scoring."""
