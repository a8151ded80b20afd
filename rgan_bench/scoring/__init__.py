"""Images → features → statistics → scores. Knows nothing of training."""
