"""Which splits a training and an evaluation need, and those of them that cannot be there.

Comes in: the sections of a config. Goes out: (setting, split) pairs, and faults as far as the source
says before any data is read which splits it has. TensorFlow is not imported.
"""

from penstock.tfx.config import PipelineConfig
from penstock.tfx.training.config import TrainConfig
from penstock.tfx.training.split_faults import Wanted, split_faults


def wanted_splits(train: TrainConfig, evaluated: str) -> Wanted:
    """What is trained on, validated with and evaluated.

    Args:
        evaluated: `evaluate.split`, which the golden records are of, too.
    """
    wanted = [("train.train_split", train.train_split)]
    mixed = dict.fromkeys(name.split("/")[0] for name in train.mixture)
    wanted += [("train.mixture", split) for split in mixed]
    if train.validation_split is not None:
        wanted.append(("train.validation_split", train.validation_split))
    return (*wanted, ("evaluate.split", evaluated))


def early_split_faults(pipeline: PipelineConfig) -> list[str]:
    """Those that show before any data is read; the source must be without faults."""
    data = pipeline.data
    own = data.source.own_splits()
    if own is None:
        return []
    kept = sorted(own - {None, data.split_from})
    made = [name for name, share in data.splits.items() if share] if len(kept) < len(own) else []
    known = dict.fromkeys([*made, *kept])
    return split_faults(wanted_splits(pipeline.train, pipeline.evaluate.split), known)
