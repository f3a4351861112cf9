"""Data sets that are checked and nothing else: sources by example, for one's own checks."""
