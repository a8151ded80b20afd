"""What may be set, and whether it may."""
