"""A label for each row of numbers."""
