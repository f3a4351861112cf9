"""ExampleGen: source -> Examples and Quarantine. See `penstock/pipelines/ingest/example_gen.py`.

A gate: stops the run if more records than `max_bad_fraction` could not be used, and, where
`on_leakage` is "stop", if a content or a key is in several splits.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from penstock.pipelines.config import Config
from penstock.pipelines.quarantine.bad_records import Limits
from penstock.pipelines.sources import locate
from penstock.tfx.artifacts import Examples, Quarantine
from penstock.tfx.component import Component, Environment, ExecutionContext


class ExampleGen(Component):
    """Reads, checks and splits the raw data and writes it as a TFDS data set."""

    outputs = {"examples": Examples, "quarantine": Quarantine}

    class Parameters(Config):
        """`source`: the config's `data.source`; `expand`: a module with `expand(record, config)`.

        `expand_config` is that `config`, the task's section `expand` where it has one. `kept_*`: how
        many bytes of bad records the quarantine keeps.
        """

        source: dict
        splits: dict[str, float]
        split_from: str | None = None
        stratify: str | None = None
        max_bad_fraction: float = 0.01
        on_leakage: Literal["stop", "warn"] = "warn"
        kept_record_bytes: int = Limits.record_bytes
        kept_total_bytes: int = Limits.total_bytes
        shards: int | None = None
        expand: str | None = None
        expand_config: dict = {}

    @classmethod
    def environment(cls, parameters) -> Environment:
        source = locate.load(parameters.source)
        return Environment(tensorflow=source.needs_tensorflow, beam=True)

    @classmethod
    def modules(cls, parameters) -> tuple[str, ...]:
        source = locate.source_module(parameters.source["type"])
        modules = (source, *locate.load(parameters.source).modules())
        return (*modules, parameters.expand) if parameters.expand else modules

    @classmethod
    def libraries(cls, parameters) -> tuple[str, ...]:
        return locate.load(parameters.source).libraries

    @classmethod
    def files(cls, parameters) -> list[Path]:
        return locate.load(parameters.source).files()

    @classmethod
    def facts(cls, parameters) -> dict:
        return locate.load(parameters.source).fingerprint()

    @classmethod
    def check(cls, parameters) -> list[str]:
        source = locate.load(parameters.source)
        return source.check() or _stratify_faults(source, parameters.stratify)

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        from penstock.pipelines.ingest import duplicates
        from penstock.pipelines.ingest.example_gen import generate
        from penstock.pipelines.ingest.splits import Splitter
        from penstock.pipelines.quarantine import quarantine
        from penstock.pipelines.quarantine.printable import printable

        parameters = context.parameters
        splitter = Splitter(parameters.splits, parameters.split_from)
        source = locate.load(parameters.source)
        generated = generate(
            source,
            splitter,
            context.outputs["examples"].path,
            context.scratch,
            quarantine_directory=context.outputs["quarantine"].path,
            limits=Limits(parameters.kept_record_bytes, parameters.kept_total_bytes),
            stratify=parameters.stratify,
            shards=parameters.shards,
            expand=parameters.expand,
            expand_config=parameters.expand_config,
            report=lambda records: context.progress(examples=records),
        )
        good, bad = generated.summary["good"], generated.summary["bad"]
        duplicates.write(context.outputs["quarantine"].path, generated.duplicates)
        context.outputs["examples"].properties["splits"] = generated.splits
        context.outputs["quarantine"].properties["bad"] = bad
        names = ("repeats", "leaks", "conflicts", "keys")
        repeated = {name: generated.duplicates[name] for name in names}
        context.outputs["quarantine"].properties |= repeated
        shown = ", ".join(f"{name} {n:,}" for name, n in generated.splits.items() if n) or "none"
        first = next(quarantine.entries(generated.quarantine), None)
        more = {
            "first_bad": first and printable(f"{first['file']}: {first['reason']}", 500),
            "duplicates": repeated["repeats"],
            "remarks": " ".join(source.remarks()),
            "warnings": duplicates.count_warnings(generated.duplicates),
            "warning": duplicates.warning(generated.duplicates),
        }
        more = {name: value for name, value in more.items() if value}
        context.progress(examples=good, bad=bad, splits=shown, **more)
        reason = quarantine.too_many(generated.summary, parameters.max_bad_fraction)
        if reason:
            context.stop(reason)
        elif parameters.on_leakage == "stop" and (
            found := duplicates.leakage(generated.duplicates)
        ):
            context.stop(f"{found} Or set `data.on_leakage: warn`.")
        elif not generated.splits.get(splitter.names[0]):
            raise ValueError(
                f"The training split `{splitter.names[0]}` is empty. Expected: at least one "
                f"example. Received: {splitter.names[0]} 0, {shown}. Raise its fraction in "
                "`data.splits`, name the source's own training split there first, or give the "
                "source more data."
            )


def _stratify_faults(source, name: str | None) -> list[str]:
    """What shows of it before the data are read; `check_stratify` looks again when they are."""
    try:
        labels = None if name is None else source.early_labels()
    except (ValueError, OSError) as fault:  # its features cannot be described
        return [str(fault)]
    if labels is None or name in labels:
        return []
    near = get_close_matches(name, labels, n=1)
    known = f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(labels) or 'none'}."
    return [f"`data.stratify` must name a label of the source. Received: {name!r}. {known}"]
