"""`penstock doctor`: is this machine, this installation and this store fit to run a pipeline?

Begin with `command.py`, which lists the checks. `machine.py` and `installation.py` look at what a
run needs, `store.py` at what earlier runs left. `child.py` is a process of its own: it imports
TensorFlow and Beam and really uses them. A check is one small function that returns findings
(`finding.py`); none of them changes anything. With a config whose data are prepared, `speed.py` has
`throughput.py` measure each part of its training, and `bottleneck.py` says which one bounds it.
"""
