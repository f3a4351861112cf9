"""Trainer: trains the task's model and writes everything that is needed to serve and judge it.

Comes in: TransformedExamples, TransformState and the raw Examples (for golden records). Goes out:
a Model: `model.keras`, `saved_model/`, `state/`, `task.json`, `history.json`, `training.json`,
`golden.npz` and `.json`, `tensorboard/`, and `parts/` where the task has some. Killed and tried
again, it goes on from its last checkpoint.
"""

import json

from penstock.models.locate import config_class, task_package
from penstock.tfx.accelerators import accelerator_visible
from penstock.tfx.artifacts import Examples, Model, TransformedExamples, TransformState
from penstock.tfx.component import Component, Environment, ExecutionContext
from penstock.tfx.training.config import TrainConfig

LIBRARIES = ("tensorflow", "keras", "keras-hub", "numpy")
WITHOUT_EFFECT = (
    "cache",
    "input_memory_mb",
    "checkpoint_every_steps",
    "checkpoint_every_seconds",
)
"""Settings of `train` that change how a training goes about it and nothing that comes out of it."""


class Trainer(Component):
    """Trains with the batches of `train.train_split`, validates on `train.validation_split`."""

    inputs = {"transformed": TransformedExamples, "state": TransformState, "examples": Examples}
    outputs = {"model": Model}

    class Parameters(Component.Parameters):
        """`golden_examples` of `golden_split` become the golden records, which are part of the
        Model: changing either trains again, though the weights come out the same."""

        task: str
        task_config: dict
        train: TrainConfig
        seed: int
        golden_examples: int
        golden_split: str

    @classmethod
    def environment(cls, parameters):
        wanted = parameters.train.strategy
        on_cpu = wanted == "cpu" or (wanted == "auto" and not accelerator_visible())
        return Environment(tensorflow=True, devices="cpu" if on_cpu else "auto")

    @classmethod
    def keyed(cls, parameters):
        found = super().keyed(parameters)
        for name in WITHOUT_EFFECT:
            del found["train"][name]
        return found

    @classmethod
    def modules(cls, parameters):
        return (f"{task_package(parameters.task)}.task",)

    @classmethod
    def libraries(cls, parameters):
        return (*LIBRARIES, *_task_config(parameters).libraries())

    @classmethod
    def files(cls, parameters):
        return _task_config(parameters).files()

    @classmethod
    def check(cls, parameters):
        if parameters.train.strategy == "gpu" and not accelerator_visible():
            return [
                "`train.strategy` is gpu, but this machine shows no accelerator. "
                "Set `train.strategy=auto`, or check the driver and CUDA_VISIBLE_DEVICES."
            ]
        return []

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        import shutil

        from penstock.models.locate import task_class
        from penstock.pipelines.transform.state import State
        from penstock.tfx.training import batch_memory, data, placement

        parameters = context.parameters
        data.check_splits(
            context.inputs["examples"].path, parameters.train, parameters.golden_split
        )
        task = task_class(parameters.task)(_task_config(parameters))
        state = State.load(context.inputs["state"].path)
        place = placement.choose(parameters.train)
        try:
            placement.prepare_process(place, parameters.seed)
            # Outside the scope: what prepares examples on the fly belongs to no replica.
            batches = data.open_training(
                context.inputs["transformed"].path,
                parameters.train,
                task,
                state,
                seed=parameters.seed,
                **_source(context),
            )
            batch_memory.check(task, state, batches, place.on_cpu)
            with place.scope(), batch_memory.in_words(batches):
                model, result = _train(context, task, state, batches, place)
            placement.restore_process()
            output = context.outputs["model"]
            logs = context.scratch / "tensorboard"
            if logs.is_dir():
                shutil.copytree(logs, output.path / "tensorboard")
            _export(context, task, state, model)
            _record(context, task, model, result, batches, place)
        finally:
            placement.restore_process()


def _task_config(parameters):
    """The task's `Config` (no TensorFlow)."""
    sections = json.dumps(parameters.task_config)
    return config_class(parameters.task).model_validate_json(sections)


def _source(context):
    """Where raw examples are, and what is kept between starts."""
    return {"examples": context.inputs["examples"].path, "scratch": context.scratch}


def _train(context, task, state, batches, place):
    """Builds and trains the model; returns it with `fit.Result`."""
    from penstock.tfx.training import data, fit, optimizers

    train, directory = context.parameters.train, context.inputs["transformed"].path
    seed = context.parameters.seed
    steps_per_epoch = batches.steps_per_epoch
    model = task.build(state)
    optimizer = optimizers.make_optimizer(
        train.optimizer, steps_per_epoch=steps_per_epoch, epochs=train.epochs
    )
    task.compile(
        model, optimizer, jit_compile=place.xla, steps_per_execution=train.steps_per_execution
    )
    result = fit.fit(
        model,
        lambda epoch, step: data.training_batches(
            directory,
            train,
            task,
            state,
            seed=seed,
            first_epoch=epoch,
            first_step=step,
            opened=batches,
        ),
        steps_per_epoch=steps_per_epoch,
        config=train,
        seed=seed,
        per_step=data.work_per_step(batches, task),
        validation=data.validation_batches(
            directory, train, task, state, bounds=batches.bounds, **_source(context)
        ),
        checkpoints=context.scratch / "checkpoints",
        tensorboard=context.scratch / "tensorboard" if train.tensorboard else None,
        report=context.progress,
        on_cpu=place.on_cpu,
    )
    return model, result


def _export(context, task, state, model):
    from penstock.pipelines import examples
    from penstock.tfx.training import export

    parameters, data = context.parameters, context.inputs["examples"].path
    features = task.input_features(state.features)
    batches = examples.raw_dataset(
        data, parameters.golden_split, parameters.golden_examples, features
    )
    requests = next(batches.as_numpy_iterator())
    export.export(
        context.outputs["model"].path,
        task=task,
        task_name=parameters.task,
        model=model,
        state=state,
        state_directory=context.inputs["state"].path,
        signature=examples.request_signature(features),
        requests={name: requests[name] for name in features},
    )


def _record(context, task, model, result, batches, place):
    """`history.json`, `training.json`, the artifact's properties and the step's last line."""
    from penstock.tfx.training import export
    from penstock.tfx.training.callbacks import shown_rate

    directory = context.outputs["model"].path
    parameters = model.count_params()
    libraries = Trainer.libraries(context.parameters)
    export.write_history(directory, result.history)
    record = {
        "seed": context.parameters.seed,
        "versions": {name: _version(name) for name in libraries},
        "strategy": place.kind,
        "devices": list(place.devices),
        "precision": place.precision,
        "xla": place.xla,
        "deterministic": place.deterministic,
        "parameters": parameters,
        "initial_weights": task.initial_weights(),
        "epochs": result.epochs,
        "resumed_at": result.resumed_at,
        "fit_seconds": round(result.seconds, 3),
        **{f"{unit}_per_second": round(rate, 1) for unit, rate in result.per_second.items()},
        "input_wait_share": round(result.input_wait_share, 4),
        "padding_share": batches.padding_share and round(batches.padding_share, 4),
    }
    export.write_training(directory, record)
    context.outputs["model"].properties = {"parameters": parameters}
    last = {name: round(values[-1], 4) for name, values in result.history.items() if values}
    padding = (
        {} if record["padding_share"] is None else {"padding": f"{record['padding_share']:.1%}"}
    )
    speed = {f"{unit}_per_second": shown_rate(rate) for unit, rate in result.per_second.items()}
    weights = record["initial_weights"]
    context.progress(**last, **padding, **speed, initial_weights=weights)


def _version(distribution):
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
