"""One file for each step: its contract on top, its work below (heavy imports inside `execute`)."""
