"""Gathers the elements of a Beam pipeline that runs in this process.

In a module of its own: what Beam pickles from `__main__` it makes anew, with a list of its own.
"""

ELEMENTS: list = []


def collect(element) -> None:
    """A `beam.Map`."""
    ELEMENTS.append(element)
