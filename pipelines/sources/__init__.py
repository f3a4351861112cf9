"""One file for each kind of source; `source.py` is the contract that they share.

`data.source.type` in a config is the name of a module here, or the dotted name of a module of the
user's with a class `Source` in it.
"""
