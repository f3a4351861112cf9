"""`penstock schema`: show, compare and accept what the data are expected to be."""

import json
from pathlib import Path

from penstock.tfx.store import open_store


def show_schema(run: str | None, directory: str, database: str | None) -> int:
    """Prints the schema of a run."""
    print(_schema_file(run, directory, database).read_text(encoding="utf-8"), end="")
    return 0


def diff_schemas(
    first: str, second: str, directory: str, database: str | None, as_json: bool
) -> int:
    """Prints how two schemas differ, of runs or files; 1 if they do, as `diff` returns."""
    from penstock.pipelines.validation.schema import read
    from penstock.pipelines.validation.schema_diff import differences

    before, now = (read(_place(name, directory, database)) for name in (first, second))
    lines = differences(before, now)
    if as_json:
        print(json.dumps(lines, indent=2))
    else:
        print("\n".join(lines) if lines else "The two schemas do not differ.")
    return 1 if lines else 0


def accept_schema(run: str, file: str, directory: str, database: str | None, replace: bool) -> int:
    """Writes the schema of a run to a file that is to be reviewed and kept with the config."""
    from penstock.pipelines.validation.schema import read
    from penstock.pipelines.validation.schema_diff import differences
    from penstock.tfx import durable

    source, target = _schema_file(run, directory, database), Path(file)
    if target.exists() and not replace:
        lines = differences(read(target), read(source))
        if lines:
            raise ValueError(
                f"`{target}` is there already and differs in {len(lines)} places (penstock schema "
                f"diff {target} {run} shows them). To lose what was changed there, add --replace; "
                "to keep it, edit the file."
            )
        print(f"{target} is there already and says the same: nothing to do.")
        return 0
    durable.write_text(target, source.read_text(encoding="utf-8"))
    print(f"Wrote {target}. Review it, keep it with the config, and name it there:")
    print(f"  data.reviewed_schema: {target}")
    return 0


def _place(name, directory, database) -> Path:
    """A file, a folder with `schema.pbtxt`, or the schema of a run."""
    return Path(name) if Path(name).exists() else _schema_file(name, directory, database)


def _schema_file(run, directory, database) -> Path:
    store = open_store(directory, database)
    found = store.resolve_run(run)["run"]
    artifact = store.metadata.output_of(found, "SchemaGen", "schema")
    if artifact is None:
        raise ValueError(
            f"The run {found} has no schema: it ended before SchemaGen was complete, or its files are "
            "damaged. `penstock show` tells how far it came."
        )
    return store.directory / artifact.uri / "schema.pbtxt"
