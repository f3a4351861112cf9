"""Own texts and recordings as the README says: the shipped config, a run, an answer to new ones.

The data are made here, awkward ones among them, and of a kind that a few epochs tell apart. Photos:
`test_awkward_photos.py`.
"""

import csv
import io
import json
import re
import wave

import numpy as np
import pytest
import tensorflow as tf

from penstock.tfx.report.write import write_report

WORDS = {"positive": ("lovely", "clean", "quiet"), "negative": ("awful", "dirty", "loud")}
AWKWARD_ROWS = [
    ['Lovely, clean;\nthe staff was "quiet" 😀', "positive"],
    ["AWFUL — dirty & loud\u00a0<b>!</b>", "negative"],
    ["quiet " * 500, "positive"],
    ["", "negative"],
]
BROKEN_ROW = ["lovely", "but", "one cell too many"]
# As the message of a run without it advises, for the row without a label.
CLASSES = "data.source.features={label: {kind: label, names: [negative, positive]}}"


def write_reviews(path):
    """Of each class 100 texts of six words, one of which tells the class; then awkward rows."""
    generator = np.random.default_rng(0)
    rows = list(AWKWARD_ROWS)
    for index in range(200):
        label = ("positive", "negative")[index % 2]
        others = generator.choice(["the", "room", "was", "and", "breakfast", "view"], 5)
        told = generator.choice(WORDS[label])
        text = " ".join(generator.permutation([*others, told]))
        rows.append([f"{text} {index}", label])
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"], *rows, BROKEN_ROW, ["loud", ""]])


@pytest.mark.parametrize("name", ["vision/photos", "text/reviews", "speech/recordings"])
def test_a_config_of_15_lines_does_it(repository, name):
    lines = (repository / "configs" / f"{name}.yaml").read_text().splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 15
    assert f"configs/{name}.yaml" in (repository / "README.md").read_text()


def output(penstock, step, name):
    """The directory of what a step of the newest run made."""
    steps = {entry["step"]: entry for entry in penstock.json("show")["steps"]}
    return steps[step]["outputs"][name]["path"]


def bad_records(penstock):
    with open(f"{output(penstock, 'ExampleGen', 'quarantine')}/bad_records.jsonl") as file:
        return [json.loads(line) for line in file]


def padding_share(penstock):
    """Of the batches that the Trainer fed."""
    with open(f"{output(penstock, 'Trainer', 'model')}/training.json") as file:
        return json.load(file)["padding_share"]


def test_texts(command_line, repository):
    penstock = command_line("texts")
    write_reviews(penstock.folder / "reviews.csv")
    done = penstock("run", f"{repository}/configs/text/reviews.yaml", CLASSES, "train.epochs=10")
    assert re.search(r"Trainer .* padding \d+\.\d%", done.stdout)
    served = tf.saved_model.load(f"{penstock.folder}/serving/reviews/1")
    new = ["A lovely view!", "breakfast: dirty and awful"]
    answer = served.signatures["serving_default"](text=tf.constant(new))
    assert answer["label"].numpy().tolist() == [b"positive", b"negative"]
    assert answer["probability"].numpy().min() > 0.5
    assert sorted(record["index"] for record in bad_records(penstock)) == [204, 205]
    with open(f"{output(penstock, 'Evaluator', 'evaluation')}/explanations.json") as file:
        assert len(json.load(file)["examples"]) == 12
    write_report(None, f"{penstock.folder}/.penstock", None, f"{penstock.folder}/page.html")
    assert '<mark class="for s4"' in (penstock.folder / "page.html").read_text()


def tone(hertz, generator):
    """The bytes of a WAV file: a tone in noise, of 0.3 to 0.8 seconds and one of two rates."""
    rate = int(generator.choice([8000, 16000]))
    seconds = np.arange(int(generator.uniform(0.3, 0.8) * rate)) / rate
    samples = generator.uniform(0.1, 0.6) * np.sin(2 * np.pi * hertz * seconds)
    samples += generator.normal(0, 0.01, len(samples))
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((32767 * samples).astype("<i2").tobytes())
    return stream.getvalue()


def test_recordings(command_line, repository):
    penstock, generator = command_line("recordings"), np.random.default_rng(0)
    for name, low in (("hum", 200), ("whistle", 1600)):
        (penstock.folder / "recordings" / name).mkdir(parents=True)
        for index in range(60):
            data = tone(low * generator.uniform(1, 1.4), generator)
            (penstock.folder / "recordings" / name / f"{index} é.wav").write_bytes(data)
    (penstock.folder / "recordings" / "hum" / "broken.wav").write_bytes(data[:20])
    penstock("run", f"{repository}/configs/speech/recordings.yaml", "train.epochs=10")
    served = tf.saved_model.load(f"{penstock.folder}/serving/recordings/1")
    new = [tone(1900, generator), tone(240, generator)]
    answer = served.signatures["serving_default"](audio=tf.constant(new))
    assert answer["label"].numpy().tolist() == [b"whistle", b"hum"]
    assert 0 <= padding_share(penstock) < 0.15
    [broken] = bad_records(penstock)
    assert broken["key"].endswith("broken.wav")
