"""Preparation of the CAT data set (Zhang, Sun and Tang 2008): photos with nine landmarks → aligned square faces."""
