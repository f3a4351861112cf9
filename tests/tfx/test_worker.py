"""What a worker process makes sure of before a step."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import importlib.util, sys
from penstock.tfx import worker
wanted = {"tensorflow": True, "beam": False, "devices": "cpu"}
worker._import_libraries({**wanted, "fresh": True})
print("tensorflow" in sys.modules, "keras" in sys.modules)
worker._import_libraries({**wanted, "fresh": False})
print("keras" in sys.modules, sorted({"sklearn", "matplotlib"} & set(sys.modules)))
print(*(bool(importlib.util.find_spec(name)) for name in ("sklearn", "matplotlib")))
import keras
print(keras.config.floatx(), keras.config.image_data_format(), keras.config.epsilon())
worker._reset_keras()
print(keras.config.floatx(), keras.config.image_data_format(), keras.config.epsilon())
print(keras.config.dtype_policy().name)
"""


def test_what_a_worker_imports_and_no_setting_of_the_users_keras_reaches_a_step(tmp_path):
    """Those settings are no part of the cache key, so that they must change nothing."""
    (tmp_path / ".keras").mkdir()
    settings = {"floatx": "float64", "epsilon": 0.5, "image_data_format": "channels_first"}
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(settings))
    environment = {**os.environ, "HOME": str(tmp_path), "KERAS_BACKEND": "tensorflow"}
    environment.pop("KERAS_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    fresh, imported, found, before, after, policy = done.stdout.splitlines()
    assert fresh == "True False"  # the InfraValidator's is to have what a server has
    assert imported == "True []"  # they take a second or two
    assert found == "True True"  # a step may import them
    assert before == "float64 channels_first 0.5"
    assert after == "float32 channels_last 1e-07"
    assert policy == "float32"


OWN_PREPARATION = """
def prepare(x):
    if x > 0:
        return missing
    return x
"""


def test_code_that_tensorflow_rewrites_is_named_by_its_own_file(tmp_path, monkeypatch):
    (tmp_path / "own_preparation.py").write_text(OWN_PREPARATION)
    monkeypatch.syspath_prepend(tmp_path)
    import own_preparation
    import tensorflow as tf

    from penstock.tfx import worker

    with pytest.raises(NameError) as raised:
        tf.data.Dataset.range(3).map(own_preparation.prepare)
    sentence = worker.sentence(raised.value)
    assert f'{tmp_path}/own_preparation.py", line 3' in sentence
    assert sentence.endswith("name 'missing' is not defined")
