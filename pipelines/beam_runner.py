"""Where Beam pipelines run: the one place that chooses the runner.

The runner is Beam's in-process one. (Beam's "DirectRunner" may hand the pipeline to another runner,
for which it downloads a binary.)
"""

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner


def new_pipeline() -> beam.Pipeline:
    """A pipeline to be used in a `with` statement, which runs it at its end."""
    # An empty list: by default Beam would read the command line of this process. No type check:
    # Beam takes annotations for type hints and refuses those that it cannot compare (unions).
    options = PipelineOptions([], pipeline_type_check=False)
    return beam.Pipeline(runner=FnApiRunner(), options=options)
