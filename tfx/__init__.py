"""LIFECYCLE: components, artifacts, metadata, runner, gates, exports, command line.

Begin with `component.py` (what a step is) and `pipeline.py` (which steps there are), then
`runner.py` (plan, cache look-up, execute, publish). `components/` has one file for each step.
"""

if __name__ != "penstock.tfx":
    raise ImportError(
        f"This is Penstock's `penstock.tfx`, imported under the wrong name {__name__!r}: the "
        "repository root is on `sys.path`. Import `penstock.tfx`, or run Python from another folder."
    )
