"""Tasks on speech; a folder each. `front_end/` is none: it is what they share."""
