"""The distribution: packages, import direction, names that shadow nothing, configs without TensorFlow."""

import ast
import configparser
import subprocess
import sys

import pytest

FOLDERS = ("configs", "models", "pipelines", "tfx")


@pytest.fixture(scope="module")
def setup_cfg(repository):
    parser = configparser.ConfigParser()
    parser.read(repository / "setup.cfg")
    return parser["options"]


def _modules(repository):
    return [path for folder in FOLDERS for path in (repository / folder).rglob("*.py")]


def test_setup_cfg_lists_every_package_on_disk(repository, setup_cfg):
    found = {
        "penstock." + ".".join(path.parent.relative_to(repository).parts)
        for path in _modules(repository)
    }
    assert set(setup_cfg["packages"].split()) == found


def test_every_package_has_a_docstring(repository):
    folders = {path.parent for path in _modules(repository)}
    assert len(folders) > 10
    silent = [
        folder
        for folder in folders
        if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    ]
    assert silent == []


def test_folders_are_at_most_two_levels_deep(repository):
    depths = {len(path.parent.relative_to(repository).parts) for path in _modules(repository)}
    assert max(depths) <= 3


ALLOWED = {
    "pipelines": {"pipelines"},
    "models": {"models", "pipelines"},
    "tfx": {"tfx", "models", "pipelines", "configs"},
    "configs": set(),
}


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_point_one_way(folder, repository):
    seen = 0
    for path in (repository / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                names = [
                    f"{node.module}.{a.name}" if node.module == "penstock" else node.module
                    for a in node.names
                ]
            for name in names:
                top = name.split(".")
                assert top[0] not in FOLDERS, f"{path} imports {name} without `penstock.`"
                if top[0] == "penstock":
                    seen += 1
                    assert top[1] in ALLOWED[folder], f"{path} imports {name}"
    assert seen > 0 or folder == "configs"


def test_no_module_is_named_for_nothing(repository):
    names = {path.stem for path in _modules(repository)}
    assert not names & {"util", "utils", "common", "helper", "helpers", "misc"}


def test_tfx_refuses_to_be_imported_under_its_bare_name(repository):
    command = [sys.executable, "-c", "import tfx"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode != 0
    assert "imported under the wrong name 'tfx'" in done.stderr


def test_nothing_generic_lands_in_site_packages(tmp_path):
    code = (
        "import importlib.util, sys\n"
        "print([n for n in ('models', 'pipelines', 'configs') if importlib.util.find_spec(n)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


LIGHT = (
    "penstock.tfx.main",
    "penstock.tfx.run_command",
    "penstock.tfx.inspect_commands",
    "penstock.tfx.doctor.command",
    "penstock.tfx.standard_pipeline",
    "penstock.models.vision.classification.config",
)


@pytest.mark.parametrize("module", LIGHT)
def test_the_orchestrators_modules_import_neither_tensorflow_nor_beam(module, tmp_path):
    code = (
        f"import sys, {module}\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'sklearn', 'sqlalchemy', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_tasks_config_imports_without_tensorflow(repository, tmp_path):
    tasks = [
        "penstock." + ".".join(path.with_suffix("").relative_to(repository).parts)
        for path in (repository / "models").glob("*/*/config.py")
    ]
    assert len(tasks) >= 3
    code = f"import sys, {', '.join(tasks)}\nprint('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
