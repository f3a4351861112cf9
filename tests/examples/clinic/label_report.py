"""How many examples of each label each split has, as a CSV file."""

import csv
from collections import Counter

from penstock.pipelines import examples as stored
from penstock.tfx.artifacts import Artifact, Examples
from penstock.tfx.component import ExecutionContext, Input, Output
from penstock.tfx.function_component import component


@component
def LabelReport(
    examples: Input[Examples],
    report: Output[Artifact],
    context: ExecutionContext,
    feature: str = "label",
) -> None:
    """Writes `labels.csv`: split, label, examples."""
    names = stored.features(examples.path)[feature].names
    with open(report.path / "labels.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["split", "label", "examples"])
        for split in stored.splits(examples.path):
            found = Counter(v[feature] for _, v in stored.records(examples.path, split))
            writer.writerows([split, name, found[i]] for i, name in enumerate(names))
    context.progress(labels=len(names))
