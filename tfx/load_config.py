"""From a YAML file and `key=value` overrides to a checked configuration, or to all its faults.

Comes in: a path and overrides. Goes out: a `RunConfig`, whose parts are pydantic models (the
pipeline's, with the source's inside; the task's). TensorFlow and Beam are not imported.
"""

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from penstock.models import locate
from penstock.models.config import TaskConfig
from penstock.pipelines.sources.locate import known_sources, source_class
from penstock.pipelines.sources.source import Source
from penstock.tfx.config import MODEL_SECTIONS, EvaluateConfig, PipelineConfig
from penstock.tfx.config_faults import describe_all, unknown_key
from penstock.tfx.training.wanted_splits import early_split_faults
from penstock.tfx.yaml_faults import yaml_fault


class ConfigError(ValueError):
    """A config with faults: `faults` holds one sentence each, the message all of them."""

    def __init__(self, origin: str, faults: list[str]):
        noun = "fault" if len(faults) == 1 else "faults"
        lines = "".join(f"\n  - {fault}" for fault in faults)
        super().__init__(f"{origin} has {len(faults)} {noun}:{lines}")
        self.faults = faults


@dataclass(frozen=True)
class RunConfig:
    """A resolved configuration: the pipeline's sections and the task's, if it has a task."""

    pipeline: PipelineConfig
    task: TaskConfig | None

    def dump(self) -> dict:
        """All sections with all defaults, as JSON; loading it again gives an equal config."""
        sections = self.pipeline.model_dump(mode="json", serialize_as_any=True)
        if self.task is None:
            return {n: s for n, s in sections.items() if n not in ("task", *MODEL_SECTIONS)}
        return sections | self.task.model_dump(mode="json")


def load_config(path: Path, overrides: tuple[str, ...] = ()) -> RunConfig:
    """Reads and checks a config file.

    Args:
        overrides: `train.epochs=3`; values are read as YAML.

    Raises:
        ConfigError: the file cannot be read or has faults; all of them are reported.
    """
    document = read_yaml(path)
    faults = [fault for text in overrides for fault in _override(document, text)]
    config, more = resolve(document)
    if faults or more:
        raise ConfigError(str(path), faults + more)
    return config


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, but `1e-3` is a number, and dates, `on` and `off` stay text."""

    yaml_implicit_resolvers = {
        first: [
            (tag, pattern) for tag, pattern in resolvers if not tag.endswith(("timestamp", "bool"))
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _mapping_without_duplicates(loader: _Loader, node: yaml.MappingNode, deep: bool = False):
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = [key for i, key in enumerate(keys) if key in keys[:i]]
    if twice:
        raise yaml.MarkedYAMLError(
            problem=f"the key `{twice[0]}` stands twice; remove one",
            problem_mark=[key.start_mark for key, _ in node.value][_last(keys, twice[0])],
        )
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


def _last(keys: list, wanted: object) -> int:
    return max(index for index, key in enumerate(keys) if key == wanted)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.construct_mapping = _mapping_without_duplicates
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def read_yaml(path: Path) -> dict:
    """The mapping in a YAML file.

    Raises:
        ConfigError: there is no such file, or no mapping in it.
    """
    try:
        document = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ConfigError(str(path), [_missing_file(Path(path), error)]) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(str(path), [yaml_fault(error)]) from error
    try:
        json.dumps(document, default=str)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            str(path), ["The file refers to itself (`&` and `*`). Take that out."]
        ) from error
    if not isinstance(document, dict):
        kinds = {type(None): "an empty file", list: "a list", str: "text"}
        received = kinds.get(type(document), "a single value")
        fault = f"The file must hold a mapping (`key: value` lines). Received: {received}."
        raise ConfigError(str(path), [fault])
    return document


def _missing_file(path: Path, error: OSError) -> str:
    near = sorted(str(found) for found in Path(".").glob("configs/*/*.yaml"))
    hint = f" Configs here: {', '.join(near)}." if near else ""
    return f"The file cannot be read: {error.strerror}. Received: {str(path)!r}.{hint}"


def _override(document: dict, text: str):
    """Applies one `key.path=value`; yields a fault where it cannot."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        yield f"An override must read `key.path=value`. Received: {text!r}."
        return
    *parents, last = key.split(".")
    section = document
    for i, name in enumerate(parents):
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            yield f"`{'.'.join(parents[: i + 1])}` is no section, so `{key}` cannot be set in it."
            return
    try:
        section[last] = yaml.load(value, _Loader)
    except yaml.YAMLError:
        yield f"The value of `{key}` is not valid YAML. Received: {value!r}. Put it in quotes."


def resolve(document: dict) -> tuple[RunConfig | None, list[str]]:
    """Checks a whole document; returns the config (None where there are faults) and all faults."""
    faults: list[str] = []
    task_type = _task_type(document, faults)
    source_type = _source_type(document, faults)
    pipeline_model = PipelineConfig[source_type or Source]
    own = set(PipelineConfig.model_fields)
    task_sections = {key: value for key, value in document.items() if key not in own}
    if task_type is not None:
        faults += _taken_sections(task_type, own)
        known = [*own, *task_type.model_fields]
        unknown = [key for key in task_sections if key not in task_type.model_fields]
        faults += [unknown_key((key,), known) for key in unknown]
        task_sections = {k: v for k, v in task_sections.items() if k not in unknown}
    elif document.get("task") is None:
        faults += _sections_without_task(document, own)
    sections = {key: value for key, value in document.items() if key in own}
    pipeline = _validate(pipeline_model, sections, faults, skip_source=source_type is None)
    task = task_type and _validate(task_type, task_sections, faults)
    if pipeline is not None and not faults:
        of_source = pipeline.data.source.check()
        faults += of_source + list(_mixture_faults(pipeline))
        if task is not None:
            faults += task.check() + list(_metric_faults(pipeline.evaluate, task))
            faults += _padding_faults(pipeline.train.padding, task.input_padding())
            faults += early_split_faults(pipeline) if not of_source else []
    return (None if faults else RunConfig(pipeline, task)), faults


def _mixture_faults(pipeline: PipelineConfig):
    """Data sets that are trained on and that the source does not have."""
    source = pipeline.data.source
    known = source.sources if source.type == "mixture" else {}
    for name in pipeline.train.mixture:
        split, slash, data_set = name.partition("/")
        if slash and data_set not in known:
            expected = ", ".join(f"{split}/{one}" for one in known) or "a split"
            yield (
                "`train.mixture` must name splits, or data sets of a split that `data.source` of the "
                f"type `mixture` has. Expected: {expected}. Received: {name!r}. Correct it, or add "
                f"`data.source.sources.{data_set}`."
            )


def _metric_faults(evaluate: EvaluateConfig, task: TaskConfig):
    """Limits on metrics that the task does not have; they would show after the training only."""
    known = task.metric_names()
    for section in () if known is None else ("thresholds", "slice_thresholds", "baseline"):
        for name in getattr(evaluate, section):
            if not any(fnmatchcase(name, pattern) for pattern in known):
                near = get_close_matches(name, known, n=1)
                yield (
                    f"`evaluate.{section}` must name metrics of the task: {', '.join(known)}. "
                    f"Received: {name!r}.{f' Did you mean {near[0]!r}?' if near else ''}"
                )


def _padding_faults(given: dict, needed: dict):
    """Padding that the task's networks would take for data."""
    for name in sorted(given.keys() & needed.keys()):
        if given[name] != needed[name]:
            yield (
                f"`train.padding` of `{name}` must be {needed[name]!r}, by which the task's networks "
                f"know padding. Received: {given[name]!r}. Leave it out."
            )


def _taken_sections(task_type: type[TaskConfig], own: set[str]):
    """A task's section that is called like one of the pipeline's would never be read."""
    for name in sorted(own & set(task_type.model_fields)):
        yield (
            f"`{task_type.__module__}.Config` has a section `{name}`, which is the pipeline's own. "
            f"Give it another name. Taken: {', '.join(sorted(own))}."
        )


def _sections_without_task(document: dict, own: set[str]):
    """Without a task there is no model: sections about one, and sections that nobody knows."""
    known = sorted(own - set(MODEL_SECTIONS))
    for name in document:
        if name in known:
            continue
        if name not in own and get_close_matches(str(name), known, n=1):
            yield unknown_key((name,), known)
        else:
            yield (
                f"`{name}` needs a task, and the config has none: it ends when the data are "
                f"checked. Set `task` to one of {', '.join(locate.known_tasks())} or a package of "
                "your own, or take the section out."
            )


def _task_type(document: dict, faults: list[str]) -> type[TaskConfig] | None:
    name = document.get("task")
    if not isinstance(name, str):
        return None  # there is none, or the pipeline's model says that it is no string
    try:
        return locate.config_class(name)
    except ValueError as error:
        faults.append(str(error))
    # Probably a slip: the other sections are still checked, as those of the task that was meant.
    near = get_close_matches(name, locate.known_tasks(), n=1)
    return locate.config_class(near[0]) if near else None


def _source_type(document: dict, faults: list[str]) -> type[Source] | None:
    data = document.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    if not isinstance(source, dict):
        return None
    if not isinstance(source.get("type"), str):
        faults.append(
            "`data.source.type` is missing. Expected: the kind of the source, one of "
            f"{', '.join(known_sources())}, or a module of your own. Set it in the config."
        )
        return None
    try:
        return source_class(source["type"])
    except ValueError as error:
        faults.append(str(error))
    return None


def _validate(
    model: type[BaseModel], values: dict, faults: list[str], skip_source: bool = False
) -> BaseModel | None:
    values = _with_default_kinds(model, values)
    try:
        return model.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        found = error.errors(include_url=False)
        if skip_source:  # the kind of the source is unknown, so its fields cannot be judged
            found = [f for f in found if f["loc"][:2] != ("data", "source") or len(f["loc"]) == 2]
        faults += describe_all(model, values, found)
    return None


def _with_default_kinds(model: type[BaseModel], values: object) -> object:
    """Where a section leaves out its `type`, that of the default (`train.optimizer.momentum=0.9`)."""
    if not isinstance(values, dict):
        return values
    filled = dict(values)
    for name, field in model.model_fields.items():
        default, given = field.default, filled.get(name)
        if isinstance(default, BaseModel) and isinstance(given, dict):
            kind = getattr(default, "type", None)
            if kind is not None and "type" not in given:
                given = {"type": kind, **given}
            if kind is None or given["type"] == kind:
                given = _with_default_kinds(type(default), given)
            filled[name] = given
    return filled


def as_yaml(config: RunConfig) -> str:
    """A resolved config as text, to be read, compared and run again."""
    return yaml.safe_dump(config.dump(), sort_keys=False)
