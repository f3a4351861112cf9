"""READING: what the sources share.

Begin with `tree.py` (a folder or an archive, read in place); the sources themselves, one file each,
are in `penstock/pipelines/sources/`.
"""
