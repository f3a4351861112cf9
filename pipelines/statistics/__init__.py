"""STATISTICS: what the examples of each split are like, as TFDV's protos.

Begin with `statistics.py` (shards -> protos, Beam) and `feature_statistics.py` (a table of what is
measured of each kind of feature). Sketches are in `sketches.py`, files in `statistics_files.py`.
"""
