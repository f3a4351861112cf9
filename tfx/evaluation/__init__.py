"""What the Evaluator and InfraValidator need: answers, intervals, slices, checks, parity.

Begin with `predictions.py` (a SavedModel answers raw examples), then `measure.py` (rows ->
metrics with intervals, overall and by slice) and `checks.py` (metrics -> blessed or not, and why).
`parity.py` is InfraValidator's and imports nothing of Keras or of tasks.
"""
