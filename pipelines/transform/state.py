"""What Transform found out about the training split, for `prepare_*`, networks and serving.

Comes in: a TransformState directory: `state.json` (features, results of the analyzers) and one
`<name>.txt` for each vocabulary, a line for each entry (backslash, newline and carriage return
escaped as `\\\\`, `\\n`, `\\r`; bytes that are not UTF-8 through Python's `surrogateescape`); of a
subword vocabulary two files, see `subwords.py`. Goes out: a `State`. TensorFlow is imported only
when a table, a tokenizer or a layer is asked for.
"""

import json
import re
from difflib import get_close_matches
from pathlib import Path

from penstock.pipelines.features import FEATURES, Features
from penstock.pipelines.transform.subwords import Subwords

FORMAT_VERSION = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""An analyzer's name becomes a file name, so it must not be able to leave the directory."""

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def check_names(names) -> None:
    """Raises ValueError for an analyzer's name that cannot be a file name."""
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(
                "An analyzer's name must be letters, digits, `_`, `.` or `-` and begin with a "
                f"letter or digit, because a file is called so. Received: {name!r}. Rename it in "
                "the task's `analyzers`."
            )


class State:
    """Results of the analyzers by name, and the tables and layers made from them.

    Args:
        features: what the source described (input, target and unused features).
        results: analyzer name -> what it found, see `penstock/pipelines/transform/analyzers.py`.

    Tables and layers are made once for each name and kept, so that eager code, tf.data and the
    SavedModel share them; `resources` lists them for whoever exports.
    """

    def __init__(self, features: Features, results: dict | None = None):
        self.features = features
        self._results = dict(results or {})
        self._tables = {}
        self._layers = {}

    @classmethod
    def load(cls, directory) -> "State":
        """Reads a TransformState directory."""
        directory = Path(directory)
        document = json.loads((directory / "state.json").read_text())
        version = document.get("format_version")
        if version != FORMAT_VERSION:
            raise ValueError(
                f"`{directory / 'state.json'}` has a format this version cannot read. Expected: "
                f"format_version {FORMAT_VERSION}. Received: {version!r}. Run Transform again."
            )
        features = FEATURES.validate_json(json.dumps(document["features"]))
        results = {}
        for name, result in document["results"].items():
            if "vocabulary" in result:
                results[name] = _read_vocabulary(directory / result["vocabulary"])
            elif "subwords" in result:
                results[name] = Subwords.load(directory, name)
            else:
                results[name] = result["value"]
        return cls(features, results)

    def save(self, directory) -> None:
        """Writes the directory that `load` reads; equal states give equal bytes."""
        directory = Path(directory)
        check_names(self._results)
        _check_files(self._results)
        results = {}
        for name, result in self._results.items():
            if isinstance(result, tuple):
                _write_vocabulary(directory / f"{name}.txt", result)
                results[name] = {"vocabulary": f"{name}.txt", "size": len(result)}
            elif isinstance(result, Subwords):
                result.save(directory, name)
                results[name] = {"subwords": f"{name}.txt", "size": len(result)}
            else:
                results[name] = {"value": result}
        document = {
            "format_version": FORMAT_VERSION,
            "features": json.loads(FEATURES.dump_json(self.features)),
            "results": dict(sorted(results.items())),
        }
        (directory / "state.json").write_text(json.dumps(document, indent=1) + "\n")

    def __getitem__(self, name: str):
        if name not in self._results:
            near = get_close_matches(name, self._results, n=3) or sorted(self._results)
            raise KeyError(
                f"No analyzer is called {name!r}. Known: {', '.join(near) or '(none)'}. "
                "Add it to the task's `analyzers`."
            )
        return self._results[name]

    def __contains__(self, name: str) -> bool:
        return name in self._results

    def lookup(self, name: str, reserved: int = 0, default: int = -1):
        """A table string -> int64 id for a vocabulary.

        Args:
            name: a `Vocabulary` analyzer.
            reserved: ids below this stay free (padding, start, end, unknown).
            default: id of a string that is not in the vocabulary.

        Returns:
            `tf.lookup.StaticHashTable`; the same object for the same arguments.
        """
        vocabulary = self[name]
        if not isinstance(vocabulary, tuple):
            raise TypeError(
                f"`state.lookup` needs a Vocabulary. Received: {name!r}, which is "
                f"{type(vocabulary).__name__}. Make it a `Vocabulary` in the task's `analyzers`."
            )
        arguments = (name, reserved, default)
        if arguments not in self._tables:
            self._tables[arguments] = _table(vocabulary, reserved, default)
        return self._tables[arguments]

    def tokenizer(self, name: str):
        """Text <-> ids of a subword vocabulary, with plain TensorFlow ops.

        Args:
            name: a `SubwordVocabulary` analyzer.

        Returns:
            `penstock.pipelines.transform.subword_tokenizer.SubwordTokenizer`, with `tokenize`,
            `detokenize` and `size`; the same object for the same name.
        """
        subwords = self[name]
        if not isinstance(subwords, Subwords):
            raise TypeError(
                f"`state.tokenizer` needs a SubwordVocabulary. Received: {name!r}, which is "
                f"{type(subwords).__name__}. Make it a `SubwordVocabulary` in the task's "
                "`analyzers`, or use `state.lookup` for a `Vocabulary`."
            )

        def tokenizer():
            from penstock.pipelines.transform.subword_tokenizer import SubwordTokenizer

            return SubwordTokenizer(subwords)

        return self.layer(f"tokenizer/{name}", tokenizer)

    def layer(self, name: str, factory):
        """The layer or `tf.Module` that `factory()` makes, made once and kept under `name`."""
        if name not in self._layers:
            import tensorflow as tf

            with tf.init_scope():
                self._layers[name] = factory()
        return self._layers[name]

    def resources(self) -> list:
        """All tables, tokenizers and layers made so far; a SavedModel must track them."""
        return [*self._tables.values(), *self._layers.values()]


def _check_files(results):
    """The second file of a subword vocabulary must not be another analyzer's."""
    for name, result in results.items():
        if isinstance(result, Subwords) and f"{name}.merges" in results:
            raise ValueError(
                f"The subword vocabulary `{name}` writes a file `{name}.merges.txt`. Received: another "
                f"analyzer `{name}.merges`. Rename it in the task's `analyzers`."
            )


def _table(vocabulary, reserved, default):
    import tensorflow as tf

    # Outside of any graph that is being traced: the table must outlive it.
    with tf.init_scope():
        keys = [entry.encode("utf-8", "surrogateescape") for entry in vocabulary]
        ids = list(range(reserved, reserved + len(keys)))
        if not keys:
            # TensorFlow refuses an empty table; this entry answers what any other string gets.
            keys, ids = [b""], [default]
        initializer = tf.lookup.KeyValueTensorInitializer(keys, ids, tf.string, tf.int64)
        return tf.lookup.StaticHashTable(initializer, default)


def _write_vocabulary(path, vocabulary):
    text = "".join(re.sub(r"[\\\n\r]", lambda m: _ESCAPES[m[0]], v) + "\n" for v in vocabulary)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def _read_vocabulary(path):
    lines = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")[:-1]
    return tuple(re.sub(r"\\[\\nr]", lambda m: _UNESCAPES[m[0]], line) for line in lines)
