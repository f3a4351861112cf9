"""One annotation file of Pascal VOC: XML -> the image's size and its objects.

Comes in: the bytes of `Annotations/<id>.xml` (The PASCAL VOC Challenge, development kit 2012, 4.1).
Goes out: an `Annotation`. XML is read with `defusedxml`, which refuses document types and with them
entities: those can blow up memory or read other files.
"""

from dataclasses import dataclass, field

MAX_XML_BYTES = 4 * 2**20
"""An annotation has some 200 bytes for each box; parsed, it may take 150 times its size."""


class AnnotationFault(ValueError):
    """An annotation that cannot be used; the message is the reason, a sentence."""


@dataclass
class Annotation:
    """What is in an image. `size` is (height, width) in pixels, or None if it is not said.

    `boxes` has (xmin, ymin, xmax, ymax) of each object as it is written.
    """

    size: tuple[int, int] | None
    names: list[str] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    difficult: list[int] = field(default_factory=list)


def parse(data: bytes) -> Annotation:
    """An annotation file.

    Raises:
        AnnotationFault: no XML, XML that declares entities, no annotation, or an object without a
            name or one box of four numbers.
    """
    import defusedxml
    from defusedxml import ElementTree

    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except ElementTree.ParseError as error:
        raise AnnotationFault(f"The annotation is no XML: {error}.") from None
    except defusedxml.DefusedXmlException as error:
        raise AnnotationFault(
            "The annotation declares a document type or entities, which are not read "
            f"({type(error).__name__})."
        ) from None
    except (ValueError, LookupError) as error:  # an encoding that is not known
        raise AnnotationFault(f"The annotation is no XML: {error}.") from None
    if root.tag != "annotation":
        raise AnnotationFault(
            f"The annotation must have the element <annotation> around it, not <{root.tag}>."
        )
    annotation = Annotation(_size(root))
    for index, found in enumerate(root.iterfind("object")):
        name = (found.findtext("name") or "").strip()
        if not name:
            raise AnnotationFault(f"The object {index} of the annotation has no name.")
        if len(found.findall("bndbox")) > 1:
            raise AnnotationFault(f"The object {index} of the annotation has more than one box.")
        corners = ("xmin", "ymin", "xmax", "ymax")
        box = tuple(_number(found, f"bndbox/{corner}", index) for corner in corners)
        annotation.names.append(name)
        annotation.boxes.append(box)
        difficult = (found.findtext("difficult") or "0").strip()
        annotation.difficult.append(int(difficult not in ("0", "false", "False", "")))
    return annotation


def _size(root):
    size = root.find("size")
    if size is None:
        return None
    try:
        return int(size.findtext("height", "")), int(size.findtext("width", ""))
    except ValueError:
        raise AnnotationFault("The annotation's <size> has no height and width.") from None


def _number(found, path, index):
    text = found.findtext(path)
    try:
        # `float` alone would take `1_0` for 10.
        return float((text or "").replace("_", "?"))
    except ValueError:
        raise AnnotationFault(
            f"The object {index} of the annotation needs a number at <{path}>, not {text!r}."
        ) from None
