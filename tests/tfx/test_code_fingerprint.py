"""Which code counts, and which edits of it."""

import sys

import pytest

from penstock.tfx.code_fingerprint import code_index, fingerprint, locate


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A user's package: `recipe.data` imports `recipe.words` and, inside a function, `recipe.late`."""
    root = tmp_path / "recipe"
    root.mkdir()
    (root / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (root / "data.py").write_text(
        "import json\nfrom recipe import words\n\ndef prepare(x):\n"
        "    from .late import later\n    return later(words.split(x))\n"
    )
    (root / "words.py").write_text("def split(x):\n    return x.split()\n")
    (root / "late.py").write_text("def later(x):\n    return x\n")
    (root / "networks.py").write_text("from recipe import data\n")
    monkeypatch.syspath_prepend(tmp_path)
    locate.cache_clear()
    yield root
    locate.cache_clear()


def _digest(tmp_path, *modules):
    return fingerprint(modules, code_index(tmp_path / "index.json"))


def test_imports_are_followed_without_importing_anything(package, tmp_path):
    found = _digest(tmp_path, "recipe.data")
    assert sorted(found) == ["recipe", "recipe.data", "recipe.late", "recipe.words"]
    assert "recipe" not in sys.modules


def test_a_module_that_is_not_imported_does_not_count(package, tmp_path):
    before = _digest(tmp_path, "recipe.data")
    (package / "networks.py").write_text("LAYERS = 3\n")
    assert _digest(tmp_path, "recipe.data") == before


EDITS = {
    "comment": ("def split(x):\n    return x.split()  # by spaces\n", False),
    "docstring": (
        '"""Words."""\n\n\ndef split(x):\n    """By spaces."""\n    return x.split()\n',
        None,
    ),
    "spaces": ("def split( x ):\n\n    return x.split( )\n", False),
    "constant": ("def split(x):\n    return x.split(',')\n", True),
    "name": ("def split(y):\n    return y.split()\n", True),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_counts_if_the_syntax_tree_changes(package, tmp_path, edit):
    text, changes = EDITS[edit]
    before = _digest(tmp_path, "recipe.data")
    if changes is None:  # from one docstring to another
        (package / "words.py").write_text(text)
        before = _digest(tmp_path, "recipe.data")
        text, changes = text.replace("By spaces", "Cut"), False
    (package / "words.py").write_text(text)
    assert (_digest(tmp_path, "recipe.data") != before) == changes


def test_a_docstring_where_there_was_none_changes_nothing(package, tmp_path):
    before = _digest(tmp_path, "recipe.data")
    (package / "words.py").write_text('def split(x):\n    """By spaces."""\n    return x.split()\n')
    assert _digest(tmp_path, "recipe.data") == before


def test_an_edit_inside_a_late_import_counts(package, tmp_path):
    before = _digest(tmp_path, "recipe.data")
    (package / "late.py").write_text("def later(x):\n    return x[::-1]\n")
    assert _digest(tmp_path, "recipe.data") != before


def test_a_declared_module_without_a_source_file_is_an_error(tmp_path):
    with pytest.raises(ModuleNotFoundError, match=r"No source file was found .* 'no_such_module'"):
        _digest(tmp_path, "no_such_module")
