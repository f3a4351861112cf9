"""The digits through all nine steps, with the command line, as a user runs, kills and resumes them."""

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

STEPS = [
    "ExampleGen",
    "StatisticsGen",
    "Transform",
    "SchemaGen",
    "ExampleValidator",
    "Trainer",
    "Evaluator",
    "InfraValidator",
    "Pusher",
]


def test_the_run_ends_with_accuracy_served_directory_and_next_command(digits):
    lines = digits.first.stdout.splitlines()
    accuracy = next(line for line in lines if line.startswith("accuracy "))
    assert float(accuracy.split()[1]) >= 0.97
    assert "on the test split" in accuracy
    assert f"served model: {digits.folder}/serving/digits/1" in lines
    assert lines[-1].startswith("next: penstock report digits-")


def test_the_run_is_quiet_and_its_logs_are_full(digits):
    assert digits.first.stderr == ""
    # Lines of how far a long step is come on a slow machine only.
    slow = re.compile(r"\w+ +(\d+/\d+ |\d+ s, still running)")
    assert len([line for line in digits.first.stdout.splitlines() if not slow.match(line)]) < 20
    logs = sorted((digits.folder / ".penstock" / "runs").glob("*/logs/*.log"))
    assert {"Trainer.log", "ExampleGen.log"} <= {log.name for log in logs}


def test_the_accuracy_is_that_of_the_pushed_model_on_the_untouched_split(digits):
    """Recomputed from the stored examples with nothing but TensorFlow and TFDS."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(digits.outputs["examples"]["path"])
    assert sum(info.num_examples for info in builder.info.splits.values()) == 1797
    assert builder.info.features["label"].num_classes == 10
    test = builder.as_dataset(split="test", decoders={"image": tfds.decode.SkipDecoding()})
    images, labels = zip(*((e["image"], int(e["label"])) for e in test), strict=True)
    served = tf.saved_model.load(f"{digits.folder}/serving/digits/1").signatures["serving_default"]
    answers = served(image=tf.stack(images))["label_id"].numpy()
    reported = digits.outputs["evaluation"]["properties"]
    accuracy = np.mean(answers == np.array(labels))
    assert accuracy == pytest.approx(reported["metrics"]["accuracy"], abs=1e-9)
    assert len(labels) == reported["examples"]


def _bytes(image, kind):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **({"quality": 100} if kind == "JPEG" else {}))
    return buffer.getvalue()


def test_the_pushed_model_answers_png_and_jpeg_bytes_in_a_program_with_only_tensorflow(digits):
    bunch = load_digits()
    pictures = np.round(bunch.images[:40] * 255 / 16).astype(np.uint8)
    for kind in ("PNG", "JPEG"):
        for i, picture in enumerate(pictures):
            (digits.folder / f"{i}.{kind}").write_bytes(_bytes(picture, kind))
    code = """
import sys, pathlib, tensorflow as tf
served = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
for kind in ("PNG", "JPEG"):
    requests = [pathlib.Path(f"{i}.{kind}").read_bytes() for i in range(40)]
    print(*served(image=tf.constant(requests))["label_id"].numpy())
print(sorted({m.split(".")[0] for m in sys.modules} & {"penstock", "keras_hub", "apache_beam"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(digits.folder / "serving" / "digits" / "1")],
        capture_output=True,
        text=True,
        check=True,
        cwd=digits.folder,
    )
    png, jpeg, modules = done.stdout.splitlines()
    truth = bunch.target[:40]
    assert np.mean(np.array(png.split(), int) == truth) >= 0.95
    assert np.mean(np.array(jpeg.split(), int) == truth) >= 0.95
    assert modules == "[]"


def test_a_second_run_is_all_cached_without_tensorflow_or_beam(digits, digits_config):
    code = (
        "import sys\nfrom penstock.tfx.main import main\n"
        f"sys.argv = ['penstock', 'run', {digits_config!r}, '--json']\n"
        "try:\n    main()\nexcept SystemExit as end:\n"
        "    heavy = {m.split('.')[0] for m in sys.modules}\n"
        "    print(sorted(heavy & {'tensorflow', 'keras', 'apache_beam', 'sklearn'}), end.code,"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=digits.folder,
    )
    report = json.loads(done.stdout)
    assert list(report["steps"]) == STEPS
    assert {step["status"] for step in report["steps"].values()} == {"cached"}
    assert done.stderr.splitlines()[-1] == "[] 0"
    assert report["seconds"] < 5  # 0.1 s on an idle machine
    assert [p.name for p in (digits.folder / "serving" / "digits").glob("[0-9]*")] == ["1"]


@pytest.fixture(scope="module")
def copy(digits, tmp_path_factory):
    """The command line in a copy of the folder, made before other runs follow there."""
    copy = type(digits)(tmp_path_factory.mktemp("copy") / "digits")
    shutil.copytree(digits.folder, copy.folder)
    return copy


def _newest_run(penstock):
    return penstock.json("runs")[-1]


def test_a_ctrl_c_and_a_kill_between_rename_and_commit_change_no_data(
    command_line, digits, digits_config
):
    penstock = command_line("killed")
    # Ctrl-C as soon as the first step is under way.
    process = penstock.start("run", digits_config)
    deadline = time.monotonic() + 300
    while not list(penstock.folder.glob(".penstock/runs/*/logs/ExampleGen.log")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    run = _newest_run(penstock)
    assert run["state"] == "INTERRUPTED"
    assert f"Go on with: penstock resume {run['run']}" in errors
    # The orchestrator is killed between the rename of Transform's outputs and their commit.
    penstock("resume", run["run"], code=-9, PENSTOCK_CRASH_AT="commit:renamed@Transform")
    assert _newest_run(penstock)["state"] == "INTERRUPTED"
    # What it published is there when the run goes on: the next step that begins is the Trainer.
    penstock("resume", run["run"], code=-9, PENSTOCK_CRASH_AT="execution:recorded@Trainer")
    whole, found = digits.digests(digits.run), penstock.digests(run["run"])
    assert set(found) >= {"ExampleGen.examples", "Transform.transformed", "Transform.state"}
    assert found.items() <= whole.items()


def test_a_damaged_model_is_made_again_and_a_kill_in_mid_training_changes_nothing(
    copy, digits, digits_config
):
    """A byte is flipped. The digest is that of a run which saved no checkpoint at these steps."""
    model = next(copy.folder.glob(".penstock/artifacts/Trainer/*/model"))
    victim = next(model.glob("saved_model/variables/variables.data*"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    arguments = ("train.checkpoint_every_steps=5", "--verify", "--json")
    process = copy.start("run", digits_config, *arguments)
    pattern = ".penstock/runs/*/scratch/Trainer-*/checkpoints/step-*"
    while not list(copy.folder.glob(pattern)) and process.poll() is None:
        time.sleep(0.01)
    process.kill()  # its worker dies with it
    _, errors = process.communicate()
    assert process.returncode == -9
    damage = [line for line in errors.splitlines() if "damaged" in line]
    assert len(damage) == 1
    assert victim.name in damage[0]
    resumed = copy.json("resume")
    assert resumed["state"] == "COMPLETE"
    ran = {name for name, step in resumed["steps"].items() if step["status"] == "executed"}
    assert ran == {"Trainer"}  # its model is equal, so that what follows comes from the cache
    assert copy.digests("latest") == digits.digests(digits.run)
    records = [
        json.loads(path.read_text())
        for path in copy.folder.glob(".penstock/artifacts/Trainer/*/model/training.json")
    ]
    assert any(record["resumed_at"] is not None for record in records)


def test_a_push_whose_workers_are_killed_ends_with_one_whole_version(copy, digits_config):
    """After the model got its number: the worker, and the one that tries again."""
    change = "push.destination=serving/again"
    copy("run", digits_config, change, code=1, PENSTOCK_CRASH_AT="push:trimmed")
    assert copy.json("resume")["state"] == "COMPLETE"
    again = copy.folder / "serving" / "again"
    assert [path.name for path in again.glob("[0-9]*")] == ["1"]
    made = sorted(copy.folder.glob(".penstock/artifacts/Trainer/*/model/saved_model"))[-1]
    files = [path.relative_to(made) for path in made.rglob("*") if path.is_file()]
    assert len(files) >= 3  # the graph, the variables and their index
    for file in files:
        assert (again / "1" / file).read_bytes() == (made / file).read_bytes()


WORSE = (
    "train.epochs=1",
    "train.optimizer.learning_rate=1.0e-4",
    "model={type: mlp, hidden_units: [2]}",
)


def test_new_settings_run_the_trainer_and_what_follows_and_why_says_so(
    copy, digits, digits_config, tmp_path
):
    """A model that would not pass, where nothing is asked of it; `copy` has been made before."""
    unasked = ("evaluate.thresholds={}", "evaluate.baseline={}")
    ran = digits.ran(digits_config, *WORSE, *unasked, f"push.destination={tmp_path}/served")
    assert ran == ["Trainer", "Evaluator", "InfraValidator", "Pusher"]
    said = digits("why", "latest", "Trainer").stdout.splitlines()[1:]
    assert "  - parameter `train.optimizer.learning_rate` changed: 0.005 -> 0.0001" in said
    assert {line.partition("`")[2].partition(".")[0] for line in said} == {"model", "train"}
    said = digits("why", "latest", "Evaluator").stdout
    assert "input `model` changed" in said
    said = digits("why", "latest", "Transform").stdout
    assert "nothing that it depends on has changed" in said


def test_a_worse_model_is_not_pushed(digits, digits_config):
    served = digits.folder / "serving" / "digits"
    before = sorted(str(path) for path in served.rglob("*"))
    done = digits("run", digits_config, *WORSE, code=3)
    said = [line for line in done.stderr.splitlines() if line.startswith("Stopped: ")]
    assert len(said) == 1
    assert "accuracy" in said[0]
    assert sorted(str(path) for path in served.rglob("*")) == before
    assert done.stdout.splitlines()[-1].startswith("next: penstock report digits-")
    last = _newest_run(digits)["run"]
    differences = digits("diff", digits.run, last).stdout.splitlines()
    assert "end      state: COMPLETE -> STOPPED" in differences
    assert "config   train.epochs: 12 -> 1" in differences
    assert any(line.startswith("metric   accuracy: ") for line in differences)
    assert differences.count("step     Transform: ran again") == 0  # both runs have the same
    trainer = next(line for line in differences if line.startswith("step     Trainer: "))
    assert "parameter `model.type` changed: 'cnn' -> 'mlp'" in trainer
    assert digits("diff", last, last).stdout == "The two runs do not differ.\n"


def test_a_resume_of_a_complete_run_says_that_there_is_nothing_to_do(digits):
    before = digits.json("show", digits.run)
    done = digits("resume", digits.run)
    assert done.stderr == f"The run {digits.run} is complete: there is nothing to resume.\n"
    assert digits.json("show", digits.run) == before


@pytest.mark.parametrize("arguments", [("show", "no-such-run"), ("why", "no-such-run", "Trainer")])
def test_an_unknown_run_names_those_that_exist(digits, arguments):
    done = digits(*arguments, code=2)
    assert "'no-such-run' is no run of this store" in done.stderr
    assert "digits-" in done.stderr
