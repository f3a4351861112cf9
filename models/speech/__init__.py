"""Tasks on speech; a folder each."""
