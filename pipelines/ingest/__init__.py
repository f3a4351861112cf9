"""INGEST: source -> checked, split, shuffled examples on disk.

Begin with `example_gen.py`. `splits.py` and `stratified_splits.py` say where a record goes,
`sorted_runs.py` sorts more of them than memory holds, `duplicates.py` finds what is there twice.
"""
