"""Tasks on vision; a folder each."""
