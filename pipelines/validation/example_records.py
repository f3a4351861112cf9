"""Records that show what the statistics say: keys of a few examples for each finding.

Statistics do not know which examples they are of, so the examples are read, and only when there is
something to show. What is asked of a record is asked of its statistics: those of one record are
computed as those of the split are, derived features (`image/brightness`) included. Whole blocks of
records are asked first, and one by one only where a block says yes. No more is read than
`MOST_RECORDS` and `MOST_BYTES`; what is rarer is not found.
"""

from collections.abc import Iterator
from itertools import islice

from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines import examples
from penstock.pipelines.example_codec import deserialise
from penstock.pipelines.statistics.feature_statistics import for_feature
from penstock.pipelines.statistics.statistics_files import by_name
from penstock.pipelines.tfrecord import read_records
from penstock.pipelines.validation.finding import Finding

KEYS = 3
"""Of each finding at most."""
BLOCK = 256
MOST_RECORDS = 100_000
MOST_BYTES = 64 * 2**20
"""Of encoded examples; decoding as many takes seconds."""


def keys_of(directory, findings: list[Finding]) -> dict[int, list[str]]:
    """Keys of records that show a finding.

    Args:
        directory: an Examples artifact.
        findings: those with `split` and `shows` are looked for.

    Returns:
        The finding's position -> up to three keys, in the order on disk; without an entry where
        none was found.
    """
    described, known = examples.features(directory), examples.splits(directory)
    wanted: dict[str, list[tuple[int, Finding, str]]] = {}
    for index, finding in enumerate(findings):
        base = finding.feature if finding.feature in described else finding.feature.split("/")[0]
        if finding.shows is not None and finding.split in known and base in described:
            wanted.setdefault(finding.split, []).append((index, finding, base))
    found: dict[int, list[str]] = {}
    for split, asked in wanted.items():
        _look(directory, split, asked, described, found)
    return found


def _look(directory, split, asked, described, found):
    features = {base: described[base] for _, _, base in asked}
    for block in _blocks(directory, split, features):
        asked = [entry for entry in asked if len(found.get(entry[0], ())) < KEYS]
        if not asked:
            return
        together = {base: _statistics(block, base, features[base]) for base in features}
        for index, finding, base in asked:
            if not _shows(finding, together[base]):
                continue
            for key, values in block:
                if len(found.get(index, ())) == KEYS:
                    break
                if key in found.get(index, ()):
                    continue  # several records have this key
                if _shows(finding, _statistics([(key, values)], base, features[base])):
                    found.setdefault(index, []).append(key)


def _blocks(directory, split, features) -> Iterator[list[tuple[str, dict]]]:
    """Blocks of (key, values of these features)."""
    records = (r for path in examples.shard_paths(directory, split) for r in read_records(path))
    records, size = islice(records, MOST_RECORDS), 0
    while size < MOST_BYTES and (block := list(islice(records, BLOCK))):
        size += sum(map(len, block))
        yield [deserialise(data, features) for data in block]


def _statistics(block, name, feature):
    accumulator = for_feature(feature)
    values = [row[name] for _, row in block if name in row]
    if values:
        accumulator.add(values)
    features = accumulator.protos(name, len(block))
    return by_name(statistics_pb2.DatasetFeatureStatistics(features=features))


def _shows(finding, statistics):
    return finding.feature in statistics and finding.shows(statistics[finding.feature])
