"""What Hydra's sweepers need: the plan of cells, and what became of them. Knows nothing of how a run trains."""
