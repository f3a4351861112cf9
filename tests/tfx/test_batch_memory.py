"""A batch that does not fit into memory is refused in a sentence, before training or when it fails."""

from types import SimpleNamespace

import pytest
import tensorflow as tf

from penstock.models.config import TaskConfig
from penstock.models.task import Task
from penstock.models.vision.classification.task import Task as VisionTask
from penstock.tfx import memory
from penstock.tfx.training import batch_memory

LARGEST = [(64, {"inputs/source": 24, "targets": 16}), (8, {"inputs/source": 4096, "targets": 512})]


def opened(largest=LARGEST, tokens=None):
    bounds = [lengths for _, lengths in largest if lengths] or None
    totals = bounds and dict.fromkeys(bounds[0], 1)
    return SimpleNamespace(
        largest=lambda: largest, bounds=bounds, totals=totals or {}, tokens_per_batch=tokens
    )


class Quadratic(Task):
    """As an attention: 4 bytes for each pair of a source and a target token of 1,000 heads."""

    def activation_bytes(self, batch_size, lengths, state):
        return 4_000 * batch_size * lengths["inputs/source"] * lengths["targets"]


@pytest.fixture
def one_gigabyte(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 1e9)


def test_the_largest_batch_is_compared_with_what_is_left(one_gigabyte):
    """64 * 24 * 16 * 4,000 are 0.1 GB; 8 * 4,096 * 512 * 4,000 are 67.1 GB: none of 8 fits."""
    task = Quadratic(TaskConfig())
    batch_memory.check(task, None, opened(LARGEST[:1]), on_cpu=True)
    with pytest.raises(ValueError, match="must fit") as raised:
        batch_memory.check(task, None, opened(), on_cpu=True)
    assert str(raised.value) == (
        "The largest batch must fit into memory. Expected: at most 1.0 GB, which this machine has "
        "left. Received: about 67.1 GB for 8 examples padded to the lengths `inputs/source` 4,096, "
        "`targets` 512. Not even one example fits: cut long examples in the task's preparation, or "
        "use a smaller model or a larger machine."
    )


def test_how_many_would_fit_is_said(one_gigabyte):
    """200 examples of 100 x 100 take 8 GB: an eighth of them fits."""
    lengths = {"inputs/source": 100, "targets": 100}
    with pytest.raises(
        ValueError, match=r"Lower `train.batch_size` \(about 25 would fit\), or set"
    ):
        batch_memory.check(Quadratic(TaskConfig()), None, opened([(200, lengths)]), on_cpu=True)


def test_with_a_budget_of_tokens_that_is_what_is_to_be_lowered(one_gigabyte):
    """Of the batch above 25 examples fit: 2,500 tokens."""
    batches = opened([(200, {"inputs/source": 100, "targets": 100})], tokens=20_000)
    with pytest.raises(
        ValueError, match=r"Lower `train.buckets.tokens_per_batch` \(about 2,500 would"
    ):
        batch_memory.check(Quadratic(TaskConfig()), None, batches, on_cpu=True)


def test_an_accelerator_and_a_task_that_does_not_know_are_not_checked(one_gigabyte):
    batch_memory.check(Quadratic(TaskConfig()), None, opened(), on_cpu=False)
    batch_memory.check(Task(TaskConfig()), None, opened(), on_cpu=True)


def test_an_allocator_that_fails_is_put_into_words():
    """2**56 bytes are more than an address space has."""
    with (
        pytest.raises(ValueError, match="memory of the device ran out") as raised,
        batch_memory.in_words(opened()),
    ):
        tf.zeros([2**20, 2**20, 2**14])
    words = str(raised.value)
    assert "batches of up to 8 examples padded to the lengths `inputs/source` 4,096" in words
    assert "Lower `train.batch_size`, or set `train.buckets.tokens_per_batch`" in words
    assert "TensorFlow says: " in words
    assert "\n" not in words
    assert isinstance(raised.value.__cause__, tf.errors.ResourceExhaustedError)


def test_what_xla_says_is_known_too():
    message = (
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.\nBufferAssignment"
    )
    with pytest.raises(ValueError, match="Out of memory.*9 bytes.$"):
        with batch_memory.in_words(opened([(32, {})])):
            raise tf.errors.InternalError(None, None, message)


def test_other_errors_stay_as_they_are():
    with pytest.raises(tf.errors.InternalError), batch_memory.in_words(opened()):
        raise tf.errors.InternalError(None, None, "something else")


def test_the_trainer_asks_before_it_trains(workshop, monkeypatch):
    """60 pictures in sixteens; no lengths, for pictures have none."""
    asked = []

    def activation_bytes(self, batch_size, lengths, state):
        asked.append((batch_size, lengths, sorted(state.features)))
        return 10**18

    monkeypatch.setattr(VisionTask, "activation_bytes", activation_bytes)
    monkeypatch.setattr(VisionTask, "build", lambda *_: pytest.fail("It has begun."))
    with pytest.raises(ValueError, match=r"about 1,000,000,000.0 GB for 16 examples. Not even one"):
        workshop.train()
    assert asked == [(16, {}, ["image", "label", "ward"])]
