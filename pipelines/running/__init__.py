"""RUNNING: where Beam pipelines run.

Begin with `beam_runner.py`, which chooses between this process and several
(`beam_processes.py`, `beam_worker.py`); `progress.py` counts records across them.
"""
