"""Run folders → tables, ours beside the paper's. Pure functions of result.json files; imports no torch."""
