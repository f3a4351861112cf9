"""One training step after the other: what `model.fit` calls as its train function.

Keras's own train function draws its batches inside a traced function, where the wait for input
cannot be seen, and is traced anew for each batch size. The one here draws each batch in Python: it
knows epoch and step, skips what a checkpoint has already seen without reading anything, keeps
executions of several steps inside their epoch, times the wait for input and is traced once. `fit`
itself is given a placeholder dataset, whose iterator nobody reads.
"""

import time

import keras
import tensorflow as tf


class TrainFunction:
    """Called by `fit` for each execution; runs `model.train_step` on the next batch or batches.

    Args:
        model: compiled Keras model.
        batches: `f(first_epoch, first_step) -> endless tf.data.Dataset`.
        steps_per_epoch: training steps in one epoch.
        start: (epoch, step) of the first batch to train on; the epoch's steps before are skipped.

    Attributes:
        steps_per_epoch: as given.
        step: steps of the current epoch that are done or skipped.
        waited_seconds, busy_seconds: time spent waiting for input and in steps.
        trained_steps: steps really run.
    """

    def __init__(self, model, batches, steps_per_epoch: int, start: tuple[int, int] = (0, 0)):
        self._model = model
        self.steps_per_epoch = steps_per_epoch
        self._skip_in_first_epoch = start[1]
        self._epochs_begun = 0
        dataset = batches(*start)
        strategy = model.distribute_strategy
        _make_variables(model, dataset.element_spec)
        self._iterator = iter(strategy.experimental_distribute_dataset(dataset))
        self._step_function = _step_function(model, model.train_step, self._iterator.element_spec)
        self._several = _several(self._step_function)
        self.step = 0
        self.waited_seconds = 0.0
        self.busy_seconds = 0.0
        self.trained_steps = 0

    def trace(self) -> list[str]:
        """Traces the step, which creates every metric and optimizer variable.

        Returns:
            names of the training metrics.
        """
        return sorted(
            self._step_function.get_concrete_function(
                self._iterator.element_spec
            ).structured_outputs
        )

    def begin_epoch(self) -> None:
        """To be called at the beginning of each epoch."""
        self.step = 0
        self._epochs_begun += 1

    @property
    def skipping(self) -> bool:
        """Whether the steps of this moment lie before the checkpoint."""
        return self._epochs_begun <= 1 and self.step < self._skip_in_first_epoch

    def __call__(self, placeholder):
        """Runs one execution; returns the metrics so far, a dict of scalar tensors."""
        del placeholder
        count = min(self._model.steps_per_execution, self.steps_per_epoch - self.step)
        if self.skipping:
            self.step += count
            return self._model.get_metrics_result()
        begun = time.perf_counter()
        if count == 1:
            batch = next(self._iterator)
            arrived = time.perf_counter()
            logs = self._step_function(batch)
            self.waited_seconds += arrived - begun
        else:
            logs = self._several(self._iterator, tf.constant(count))
            arrived = begun
        self.busy_seconds += time.perf_counter() - arrived
        self.step += count
        self.trained_steps += count
        return logs


class TestFunction:
    """Called by `evaluate` for each execution; traced once for all batch sizes."""

    __test__ = False  # Not a test class, whatever pytest thinks of its name.

    def __init__(self, model, batches: tf.data.Dataset):
        distributed = model.distribute_strategy.experimental_distribute_dataset(batches)
        self._model = model
        self._step_function = _step_function(model, model.test_step, distributed.element_spec)

    def __call__(self, iterator):
        logs = self._step_function(next(iterator))
        for _, batch in zip(range(self._model.steps_per_execution - 1), iterator, strict=False):
            logs = self._step_function(batch)
        return logs


def _make_variables(model, element_spec):
    """Those of metrics and optimizer, from a batch's specs, as Keras's own `fit` does for replicas.

    They cannot be made while a step of several replicas is traced; a step of one that makes any is
    traced once more (a small CNN: 2.0 s of CPU instead of 0.7 s).
    """
    strategy = model.distribute_strategy
    try:
        with strategy.scope():
            model._symbolic_build(data_batch=element_spec)
    except Exception:
        # A `train_step` of the model's own may call it in another way; or the trace says what is wrong.
        if strategy.num_replicas_in_sync > 1:
            raise


def _step_function(model, step, element_spec):
    """`step` on every replica, the results averaged, as `keras.Model.make_train_function` does."""
    strategy = model.distribute_strategy

    def run(batch):
        logs = strategy.run(step, args=(batch,))
        return keras.tree.map_structure(
            lambda value: tf.reduce_mean(strategy.experimental_local_results(value), axis=0), logs
        )

    run = tf.autograph.experimental.do_not_convert(run)
    return tf.function(run, input_signature=[element_spec], jit_compile=model.jit_compile)


def _several(step_function):
    """Several steps in one call, so that Python costs once (`train.steps_per_execution`)."""

    @tf.function(reduce_retracing=True)
    def several(iterator, count):
        logs = step_function(next(iterator))
        for _ in tf.range(count - 1):
            logs = step_function(next(iterator))
        return logs

    return several
