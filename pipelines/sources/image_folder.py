"""Images in a folder or an archive, by default a folder for each class: `<path>/<class>/**/<image>`.

With `splits_from_folders` the first level is the split: `<path>/<split>/<class>/**/<image>`; with a
`pattern` the name says class, group and split (`reading/name_pattern.py`). The class names are the
folders' names, sorted; a record's key is its path relative to `path`. Files whose names do not end
in one of `extensions`, and hidden ones, are no records. In a folder links are followed, except
those to a folder that they are in; an archive (`reading/archive.py`) is read in place. Every image
is decoded in full while reading; see `image_files.py` for what is kept and what is converted. What
has an image's name, but cannot be read (a link that leads nowhere, a pipe, a name that is not
UTF-8), is a bad record.
"""

from typing import Literal

from penstock.pipelines.reading.class_files import ClassFiles
from penstock.pipelines.reading.media import Images


class Source(Images, ClassFiles):
    """Images with classes."""

    type: Literal["image_folder"] = "image_folder"
