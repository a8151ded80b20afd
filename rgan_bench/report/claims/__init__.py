"""The paper's claims as checks."""
