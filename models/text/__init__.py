"""Tasks on text; a folder each."""
