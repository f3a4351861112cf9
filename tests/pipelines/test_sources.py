"""What every source keeps to, and how a config names one."""

import re
import subprocess
import sys

import pytest

from penstock.pipelines.sources import locate


@pytest.mark.parametrize("section", ["sklearn", "image_folder", "tfds"])
def test_validation_imports_nothing_heavy(section, tmp_path):
    (tmp_path / "cat").mkdir()
    more = {"image_folder": {"path": str(tmp_path)}, "tfds": {"dataset": "mnist"}}
    program = f"""
import sys
from penstock.pipelines.sources import locate
source = locate.load({ {"type": section, **more.get(section, {})}!r})
source.check(), source.files(), source.fingerprint(), source.libraries, source.needs_tensorflow
heavy = {{"tensorflow", "apache_beam", "sklearn", "tensorflow_datasets", "numpy", "PIL"}}
sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_known_sources():
    tables = {"csv", "json_lines", "parquet", "tfrecord", "text_lines", "parallel_text"}
    assert {"sklearn", "image_folder", "tfds"} | tables <= set(locate.known_sources())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("skleern", " Did you mean 'sklearn'?"),
        ("image_foldr", " Did you mean 'image_folder'?"),
        ("zebra", ""),
        ("", ""),
        (".x", ""),
        ("..x.y", ""),
        ("os.", ""),
        ("os..path", ""),
        ("no_such_package.own", ""),
        ("os.no_such_module", ""),
        ("os", ""),
    ],
)
def test_an_unknown_source_names_the_nearest_and_lists_all(name, said):
    known = ", ".join(locate.known_sources())
    expected = f"Received: {name!r}.{said} Known sources: {known}."
    for look_up in (locate.source_module, locate.source_class):
        with pytest.raises(ValueError, match=re.escape(expected)) as caught:
            look_up(name)
        assert "names no known source" in str(caught.value)


@pytest.mark.parametrize("name", ["os.path", "penstock.pipelines.sources.source"])
def test_a_module_without_a_source_is_refused(name):
    message = f"must name a module with a class `Source`.*Received: '{name}', a module without one"
    with pytest.raises(ValueError, match=message):
        locate.load({"type": name})


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("x = 1\nraise RuntimeError('no\\nluck.')\n", "RuntimeError: no luck ({file}, line 2)."),
        ("x = 1\n\nx = = 2\n", "SyntaxError: invalid syntax ({file}, line 3)."),
        ("import no_such_package\n", "ModuleNotFoundError: No module named 'no_such_package' ("),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 ({file}, line 2)."),
    ],
    ids=["raises", "syntax", "needs-another", "exits"],
)
@pytest.mark.parametrize("in_package", [False, True], ids=["module", "package"])
def test_a_module_that_fails_on_import_is_named(tmp_path, monkeypatch, program, said, in_package):
    package = tmp_path / "penstock_failing_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "own.py").write_text("")
    broken = package / ("__init__.py" if in_package else "own.py")
    broken.write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    module = f"{package.name}.own"
    if in_package:
        with pytest.raises(ValueError, match="which fails on import"):
            locate.source_module(module)
    with pytest.raises(ValueError, match="which fails on import") as caught:
        locate.source_class(module)
    start = f"`data.source.type` names the module `{module}`, which fails on import: "
    assert str(caught.value).startswith(start + said.format(file=broken))
    assert str(caught.value).endswith("). Correct the module.")
    sys.modules.pop(package.name, None)


def test_a_dotted_name_is_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "penstock_test_package").mkdir()
    (tmp_path / "penstock_test_package" / "own.py").write_text(
        "from penstock.pipelines.sources import source\n"
        "class Source(source.Source):\n"
        "    rows: int\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert locate.load({"type": "penstock_test_package.own", "rows": 3}).rows == 3
