"""The command line: `penstock COMMAND`. Only declarations; each command imports its work when called.

Exit codes: 0 done, 1 a step failed (or two schemas differ), 2 a fault in config or usage, 3 a gate
stopped the run, 130 interrupted.
"""

import contextlib
import os
import sys

import click

STORE = click.option(
    "--store", default=".penstock", show_default=True, help="The store's directory."
)
DATABASE = click.option(
    "--database",
    envvar="PENSTOCK_DATABASE",
    help="The store's SQLAlchemy URL, if not SQLite (or the variable PENSTOCK_DATABASE).",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for a script to read.")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="RUN is the name of a run, the beginning of one, or `latest`; `penstock runs` lists them.",
)
@click.version_option(package_name="penstock")
def cli() -> None:
    """Raw data to a checked, served SavedModel. Start with: penstock run configs/vision/digits.yaml"""


@cli.command()
@click.argument("config", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE ...]")
@click.option("--verify", is_flag=True, help="Hash every cached file before it is reused.")
@JSON
def run(config, overrides, verify, as_json) -> int:
    """Run CONFIG; what has not changed comes from the cache."""
    from penstock.tfx.run_command import run_config

    return run_config(config, overrides, verify, as_json)


@cli.command()
@click.argument("run", required=False)
@STORE
@DATABASE
@click.option("--verify", is_flag=True, help="Hash every cached file before it is reused.")
@JSON
def resume(run, store, database, verify, as_json) -> int:
    """Go on with RUN (or the newest) after a failure."""
    from penstock.tfx.run_command import resume_run

    return resume_run(run, store, database, verify, as_json)


@cli.command()
@click.argument("config", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE ...]")
@click.option("--print", "show", is_flag=True, help="Print the resolved config.")
def validate(config, overrides, show) -> int:
    """Check CONFIG without reading any data."""
    from penstock.tfx.run_command import validate_config

    return validate_config(config, overrides, show)


@cli.command()
@STORE
@DATABASE
@JSON
def runs(store, database, as_json) -> int:
    """List the runs of a store, oldest first."""
    from penstock.tfx.inspect_commands import list_runs

    return list_runs(store, database, as_json)


@cli.command()
@click.argument("run", required=False)
@STORE
@DATABASE
@JSON
def show(run, store, database, as_json) -> int:
    """Show what RUN (or the newest) made."""
    from penstock.tfx.inspect_commands import show_run

    return show_run(run, store, database, as_json)


@cli.command()
@click.argument("run", required=False)
@STORE
@DATABASE
@click.option("--output", metavar="FILE", help="Where to write it, if not beside the run's logs.")
def report(run, store, database, output) -> int:
    """Write one HTML page about RUN (or the newest)."""
    from penstock.tfx.report.write import write_report

    return write_report(run, store, database, output)


@cli.command()
@click.argument("run", required=False)
@click.option("--reason", metavar="TEXT", help="Only records whose reason has TEXT in it.")
@click.option(
    "--file", "files", metavar="FILE", multiple=True, help="Only records of FILE; repeatable."
)
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Records shown with --reason or --file.",
)
@click.option("--extract", metavar="DIR", help="Write the bytes that were kept into files in DIR.")
@click.option("--replay", is_flag=True, help="Read the files again: which records are good now?")
@STORE
@DATABASE
@JSON
def quarantine(run, **options) -> int:
    """List bad records of RUN (or the newest).

    By kind of reason, the first three of each; --reason and --file list single records.
    """
    from penstock.tfx.quarantine_command import quarantine_of_run

    return quarantine_of_run(run, **options)


@cli.command()
@click.argument("run")
@click.argument("step")
@STORE
@DATABASE
@JSON
def why(run, step, store, database, as_json) -> int:
    """Say why STEP of RUN ran, or did not have to."""
    from penstock.tfx.inspect_commands import why_step

    return why_step(run, step, store, database, as_json)


@cli.command()
@click.argument("first")
@click.argument("second")
@STORE
@DATABASE
@JSON
def diff(first, second, store, database, as_json) -> int:
    """Compare the configs, steps and metrics of two runs."""
    from penstock.tfx.inspect_commands import diff_runs

    return diff_runs(first, second, store, database, as_json)


class _ShowByDefault(click.Group):
    """`penstock schema RUN` is `penstock schema show RUN`."""

    def parse_args(self, ctx, args):
        if not args or args[0] not in {*self.commands, "-h", "--help"}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@cli.group(cls=_ShowByDefault)
def schema() -> None:
    """Show, compare and accept schemas: penstock schema [RUN]."""


@schema.command("show")
@click.argument("run", required=False)
@STORE
@DATABASE
def schema_show(run, store, database) -> int:
    """Print the schema of RUN (or the newest)."""
    from penstock.tfx.schema_command import show_schema

    return show_schema(run, store, database)


@schema.command("diff", short_help="Compare two schemas, of runs or files.")
@click.argument("first")
@click.argument("second")
@STORE
@DATABASE
@JSON
def schema_diff(first, second, store, database, as_json) -> int:
    """Say how two schemas (of runs, or files) differ; exit code 1 if they do."""
    from penstock.tfx.schema_command import diff_schemas

    return diff_schemas(first, second, store, database, as_json)


@schema.command("accept", short_help="Write the schema of RUN to FILE, for review.")
@click.argument("run")
@click.argument("file", type=click.Path(dir_okay=False))
@STORE
@DATABASE
@click.option("--replace", is_flag=True, help="Overwrite FILE where it says something else.")
def schema_accept(run, file, store, database, replace) -> int:
    """Write the schema of RUN to FILE, to be reviewed and named in `data.reviewed_schema`."""
    from penstock.tfx.schema_command import accept_schema

    return accept_schema(run, file, store, database, replace)


@cli.command()
@click.argument("config", type=click.Path(), required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE ...]")
@click.option("--store", help="The store's directory.  [default: that of CONFIG, or .penstock]")
@DATABASE
@JSON
@click.option(
    "--speed/--no-speed",
    default=True,
    show_default=True,
    help="Measure what bounds the training of CONFIG, on the data of its newest run.",
)
def doctor(config, overrides, store, database, as_json, speed) -> int:
    """Check this machine, the installation, the store and CONFIG."""
    from penstock.tfx.doctor.command import doctor as examine

    return examine(config, store, database, as_json, speed, overrides)


def main() -> None:
    """The console script."""
    # A user's own tasks and components may lie in the current folder; installed packages come first.
    with contextlib.suppress(FileNotFoundError):  # the folder has been removed
        sys.path.append(os.getcwd())
    from penstock.tfx.main_errors import exit_code_of, open_standard_streams

    open_standard_streams()
    sys.exit(exit_code_of(lambda: cli.main(standalone_mode=False)))


if __name__ == "__main__":
    main()
