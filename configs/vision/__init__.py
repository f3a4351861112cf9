"""Applications on images."""
