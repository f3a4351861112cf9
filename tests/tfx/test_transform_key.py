"""What Transform's key holds of a task: what its preparation uses, and nothing of its network."""

import json

import pytest

from penstock.tfx.load_config import load_config
from penstock.tfx.standard_pipeline import standard_pipeline


def transform(config, *overrides):
    """(parameters, libraries, files): what the key of the step is made of, beside its inputs."""
    steps = {step.name: step for step in standard_pipeline(load_config(config, overrides)).steps}
    step = steps["Transform"]
    found = step.component.libraries(step.parameters), step.component.files(step.parameters)
    return step.component.keyed(step.parameters), *found


@pytest.mark.parametrize(
    "overrides",
    [
        ("model={type: transformer}",),
        ("model={type: average, embedding_dim: 2, embeddings: vectors.txt}",),
        ("train.epochs=1",),
    ],
    ids=["transformer", "word-vectors", "epochs"],
)
def test_another_network_for_texts_leaves_it_alone(repository, tmp_path, monkeypatch, overrides):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vectors.txt").write_text("the 1 2\n")
    (tmp_path / "reviews.csv").write_text("text,label\na,b\n")
    config = repository / "configs" / "text" / "reviews.yaml"
    assert transform(config, *overrides) == transform(config)


def test_another_network_for_images_leaves_it_alone(repository, tmp_path):
    config = repository / "configs" / "vision" / "digits.yaml"
    for name in ("config.json", "image_converter.json"):
        (tmp_path / name).write_text("{}")
    preset = f"model={{type: preset, preset: {json.dumps(str(tmp_path))}}}"
    assert transform(config, preset) == transform(config)


def test_the_preset_that_cuts_texts_is_part_of_it(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text("text,label\na,b\n")
    preset = tmp_path / "preset"
    preset.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (preset / name).write_text("{}")
    config = repository / "configs" / "text" / "reviews.yaml"
    prepare = f"prepare={{tokens: preset, preset: {json.dumps(str(preset))}}}"
    _, libraries, files = transform(config, prepare, "model={type: preset}")
    assert "keras-hub" in libraries
    assert {file.name for file in files} >= {"config.json", "tokenizer.json"}
