"""Applications on speech."""
