"""Where a training runs: what `auto` means on which devices."""

import json

import keras
import pytest
import tensorflow as tf

from penstock.tfx.training import placement
from penstock.tfx.training.config import TrainConfig


def choose(**settings):
    return placement.choose(TrainConfig.model_validate_json(json.dumps(settings)))


@pytest.fixture
def devices(monkeypatch):
    """`devices(count, capability)`: as if there were so many GPUs."""

    def pretend(count, capability=(8, 0)):
        gpus = [tf.config.PhysicalDevice(f"/physical_device:GPU:{n}", "GPU") for n in range(count)]
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: gpus)
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda gpu: {"compute_capability": capability, "device_name": "A GPU"},
        )
        monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: "mirrored strategy")

    return pretend


def test_cpu(devices):
    devices(0)
    place = choose()
    assert (place.kind, place.devices, place.precision) == ("cpu", ("CPU",), "float32")
    assert (place.xla, place.deterministic, place.on_cpu) == (False, True, True)


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((6, 1), "float32"), ((7, 5), "mixed_float16"), ((8, 0), "mixed_bfloat16"),
     ((9, 0), "mixed_bfloat16")],
)  # fmt: skip
def test_one_gpu(devices, capability, precision):
    devices(1, capability)
    place = choose()
    assert (place.kind, place.devices, place.precision) == ("gpu", ("A GPU",), precision)
    assert (place.xla, place.deterministic, place.on_cpu) == (True, False, False)


def test_several_gpus(devices):
    devices(2)
    place = choose()
    assert (place.kind, place.strategy) == ("mirrored", "mirrored strategy")
    assert place.devices == ("A GPU", "A GPU")


def test_what_is_asked_for_is_taken(devices):
    devices(2)
    place = choose(strategy="gpu", precision="float32", deterministic="on")
    assert (place.kind, place.devices, place.strategy) == ("gpu", ("A GPU",), None)
    assert (place.precision, place.xla, place.deterministic) == ("float32", False, True)
    assert choose(strategy="cpu").precision == "float32"


def test_xla_and_determinism_exclude_each_other(devices):
    devices(0)
    place = choose(xla="on")
    assert (place.xla, place.deterministic) == (True, False)
    with pytest.raises(ValueError, match="exclude each other.*Received: on and on"):
        choose(xla="on", deterministic="on")


def test_no_gpu_where_one_is_asked_for(devices):
    devices(0)
    with pytest.raises(ValueError, match="is gpu, but TensorFlow sees no GPU.*strategy=auto"):
        choose(strategy="gpu")


def test_mirrored_needs_devices(devices, monkeypatch):
    devices(0)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["CPU:0"])
    with pytest.raises(ValueError, match="mirrored, but there is only one device"):
        choose(strategy="mirrored")


def test_process_is_as_new():
    place = choose(strategy="cpu")
    names, values = [], []
    for _ in range(2):
        placement.prepare_process(place, 5)
        layer = keras.layers.Dense(1)
        layer.build((1, 2))
        names.append(layer.name)
        values.append(layer.kernel.numpy().tolist())
    assert names == ["dense", "dense"]
    assert values[0] == values[1]


def test_a_restored_process_may_look_at_the_clock():
    """Under op determinism `tf.timestamp` fails, and with it every search with a limit of time."""
    clock = tf.function(tf.timestamp)
    placement.prepare_process(choose(strategy="cpu"), 5)
    with pytest.raises(tf.errors.FailedPreconditionError, match="determinism"):
        clock()
    placement.restore_process()
    assert clock() > 0
    assert keras.config.dtype_policy().name == "float32"
