"""Where Beam pipelines run: the one place that chooses the runner, and in how many processes.

One process: Beam's in-process runner. (Beam's "DirectRunner" may hand the pipeline to another
runner, for which it downloads a binary.) Python runs on one core there, so that work of more than
some seconds goes to several processes; see `processes_for`.
"""

import os

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

WORTH_S = 3.0
"""Of work for each process: a process takes 1 s to start (measured), and as much of a core."""
MOST_PROCESSES = 16
"""Each takes some 300 MB in ExampleGen; behind that the disk is what they wait for."""
LIMIT = "PENSTOCK_PROCESSES"
"""Environment variable: at most so many processes, whatever the machine has."""


def processes_for(work_s: float) -> int:
    """How many processes pay for so many seconds of work of one core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = int(os.environ.get(LIMIT) or MOST_PROCESSES)
    return max(1, min(cores, limit, int(work_s / WORTH_S)))


def new_pipeline(processes: int = 1) -> beam.Pipeline:
    """A pipeline to be used in a `with` statement, which runs it at its end."""
    # An empty list: by default Beam would read the command line of this process. No type check:
    # Beam takes annotations for type hints and refuses those that it cannot compare (unions).
    options = PipelineOptions([], pipeline_type_check=False)
    return beam.Pipeline(runner=_runner(processes), options=options)


def _runner(processes):
    if processes == 1:
        return FnApiRunner()
    from penstock.pipelines.running.beam_processes import ProcessRunner

    return ProcessRunner(processes)
