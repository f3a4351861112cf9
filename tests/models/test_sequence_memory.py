"""How much memory a training step is said to take, against what one takes in a process of its own."""

import json
import subprocess
import sys

import pytest

STEP = """
import json, re, sys
import keras, numpy as np, tensorflow as tf
from penstock.models.text.translation.config import Config
from penstock.models.text.translation.task import Task
from penstock.pipelines.features import Text
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.subwords import Subwords

sections, batch, source, target, ids = json.loads(sys.argv[1])
task = Task(Config.model_validate_json(json.dumps(sections)))
state = State({"source": Text(), "target": Text()}, {"subwords": Subwords(("x",) * ids, ())})
model = task.build(state)
task.compile(model, keras.optimizers.Adam(), jit_compile=False)

def peak():
    # Not `ru_maxrss`, which begins with what the process had that started this one.
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1))

def step(batch, source, target):
    draw = lambda length: np.random.randint(4, ids, (batch, length)).astype(np.int32)
    model.train_on_batch({"source": draw(source), "written": draw(target)}, draw(target))

step(2, 4, 4)
before = peak()
step(batch, source, target)
said = task.activation_bytes(batch, {"inputs": source, "targets": target}, state)
print(json.dumps([peak() - before, said]))
"""
MODELS = {
    "transformer": {"type": "transformer", "dim": 64, "num_layers": 2, "intermediate_dim": 128},
    "gru": {"type": "gru", "embedding_dim": 64, "units": 64},
}


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read as Linux counts them")
@pytest.mark.parametrize("kind", MODELS)
def test_the_estimate_is_near_the_peak_of_a_step(kind, tmp_path):
    case = [{"model": MODELS[kind]}, 32, 160, 160, 1000]
    done = subprocess.run(
        [sys.executable, "-c", STEP, json.dumps(case)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    measured, said = json.loads(done.stdout.strip().splitlines()[-1])
    assert measured > 150e6  # else the step does not stand out
    assert 0.7 < said / measured < 1.5
