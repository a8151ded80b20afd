"""The runs that lie in folders: found, described, cleaned up."""
