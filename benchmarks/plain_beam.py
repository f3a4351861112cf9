"""The peer of ExampleGen: a Beam pipeline as one writes it by hand for one data set.

TFRecord files of Examples -> parse -> decode the PNG -> split by the hash of the key -> TFRecord
files. Beam's own reading and writing, protos of the fast library (without TensorFlow, whose import
takes seconds), one function for a whole record. A picture is checked by decoding it with Pillow, as
one does by hand; some that pass, of which a row lacks for one, TensorFlow would refuse. It does not
shuffle, keeps no bad records, and finds no keys or contents that are there twice.
"""

import argparse
import io
import sys
from hashlib import blake2b
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def checked(data: bytes):
    """Yields (split, the same bytes) of a record whose picture can be decoded."""
    features = tf_example_pb2.Example.FromString(data).features.feature
    try:
        Image.open(io.BytesIO(features["image"].bytes_list.value[0]), formats=("PNG",)).load()
    except Exception as error:
        print(error, file=sys.stderr)
        return
    digest = blake2b(features["key"].bytes_list.value[0], digest_size=8).digest()
    place, limit = int.from_bytes(digest, "big") / 2**64, 0.0
    for split, share in SPLITS.items():
        limit += share
        if place < limit or split == "test":
            yield beam.pvalue.TaggedOutput(split, data)
            return


def run(pattern: str, folder: Path, processes: int) -> None:
    """Reads the files of a pattern and writes `folder/<split>-...`."""
    mode = "in_memory" if processes == 1 else "multi_processing"
    options = PipelineOptions(direct_num_workers=processes, direct_running_mode=mode)
    with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
        records = pipeline | beam.io.ReadFromTFRecord(pattern)
        splits = records | beam.FlatMap(checked).with_outputs(*SPLITS)
        for split in SPLITS:
            splits[split] | split >> beam.io.WriteToTFRecord(str(folder / split))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pattern")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    run(arguments.pattern, arguments.folder, arguments.processes)
