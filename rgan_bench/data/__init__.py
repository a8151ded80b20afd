"""Data sets, one file per source. Each ends in one uint8 tensor [N, 3, size, size] and a fingerprint."""
