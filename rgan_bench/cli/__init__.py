"""Thin mains: each parses its arguments and calls the library."""
