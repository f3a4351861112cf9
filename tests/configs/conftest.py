"""Small folders `data` and `presets`, laid out as the shipped configs read them."""

import gzip
import io
import json
import tarfile
import wave
import zipfile

import numpy as np
import pytest
from PIL import Image as PILImage

ROWS = 12
"""Of each table; with fewer a split might be empty."""

PENGUINS = "species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year"
PENGUINS_RAW = (
    "studyName,Sample Number,Species,Region,Island,Stage,Individual ID,Clutch Completion,Date Egg,"
    "Culmen Length (mm),Culmen Depth (mm),Flipper Length (mm),Body Mass (g),Sex,Delta 15 N (o/oo),"
    "Delta 13 C (o/oo),Comments"
)
TITANIC = (
    "survived,pclass,sex,age,sibsp,parch,fare,embarked,class,who,adult_male,deck,embark_town,alive,"
    "alone"
)
ASSAYS = (
    "NR-AR,NR-AR-LBD,NR-AhR,NR-Aromatase,NR-ER,NR-ER-LBD,NR-PPAR-gamma,SR-ARE,SR-ATAD5,SR-HSE,"
    "SR-MMP,SR-p53"
)
TABLES = {
    "penguins/penguins.csv": PENGUINS,
    "penguins/penguins_raw.csv": PENGUINS_RAW,
    "titanic/titanic.csv": TITANIC,
    "taxi/data.csv": "fare,trip_miles,payment_type,company,pickup_census_tract,tips",
    "moleculenet/delaney-processed.csv": "Compound ID,Minimum Degree,smiles",
    "moleculenet/BBBP.csv": "BBBP,smiles",
    "moleculenet/tox21.csv.gz": f"{ASSAYS},mol_id,smiles",
}


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """The folder `data`."""
    folder = tmp_path_factory.mktemp("small") / "data"
    files = {name: table(columns) for name, columns in TABLES.items()}
    files |= _images() | _recordings() | _texts() | _movies()
    files["fashion_mnist/train-labels-idx1-ubyte.gz"] = b"TFDS knows the digest of the whole file."
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if name.endswith(".csv.gz") else content)
    return folder


@pytest.fixture(scope="session")
def small_preset(tmp_path_factory):
    """A preset as a run of `fashion_mnist_resnet.yaml` leaves it, of a smaller network."""
    from penstock.models.vision.classification.small_resnet import SmallResNetBackbone

    folder = tmp_path_factory.mktemp("presets") / "fashion_mnist"
    SmallResNetBackbone((4, 8), (1, 1), image_shape=(None, None, 1)).save_to_preset(str(folder))
    return folder


@pytest.fixture(autouse=True)
def presets(tmp_path, small_preset):
    """The folder `presets` in the current one."""
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "fashion_mnist").symlink_to(small_preset)


def table(columns: str) -> bytes:
    """A CSV file whose cells are all 0 or 1."""
    width = columns.count(",") + 1
    rows = [",".join(str((row + column) % 2) for column in range(width)) for row in range(ROWS)]
    return "\n".join([columns, *rows, ""]).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def png(mode: str, number: int) -> bytes:
    """6x4 pixels of one value."""
    stream = io.BytesIO()
    PILImage.new(mode, (6, 4), number if mode != "RGB" else (number, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def jpeg(number: int) -> bytes:
    stream = io.BytesIO()
    PILImage.new("RGB", (6, 4), (number, 9, 9)).save(stream, "JPEG")
    return stream.getvalue()


def wav(rate_hz: int, number: int) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.arange(number, 800 + number, dtype=np.int16).tobytes())
    return stream.getvalue()


VOC = (
    "<annotation><size><width>6</width><height>4</height><depth>3</depth></size><object>"
    "<name>RBC</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
    "</object></annotation>"
)


def _images():
    blood, drive, drawn = {}, {}, {}
    for number, split in enumerate(("train", "val", "test")):
        blood[f"{number}.xml"] = ("Annotations", VOC.encode())
        blood[f"{number}.jpg"] = ("JPEGImages", jpeg(number))
        blood[f"{split}.txt"] = ("ImageSets/Main", f"{number}\n".encode())
        drive[f"CamVid/{split}/0001TP_{number}.jpg"] = jpeg(number)
        drive[f"CamVid/{split}annot/0001TP_{number}.png"] = png("L", 11 * (number % 2))
    for number in range(ROWS):
        name = f"images_background_small1/Greek/character01/0394_{number:02}.png"
        drawn[name] = png("1", number % 2)
    voc = "BCCD_Dataset-1.0/BCCD"
    blood = {f"{voc}/{place}/{name}": content for name, (place, content) in blood.items()}
    return {
        "bccd/BCCD_Dataset-1.0.zip": zipped(blood),
        "camvid/camvid_240x180.zip": zipped(drive),
        "omniglot/images_background_small1.zip": zipped(drawn),
    }


def _recordings():
    speakers = ("lucas", "theo", "nicolas")
    digits = {f"recordings/{n % 10}_{speakers[n % 3]}_{n}.wav": wav(8000, n) for n in range(ROWS)}
    spoken = {f"wavs/p239_{n:03}.wav": wav(16000, n) for n in range(ROWS)}
    listed = "".join(f'p239_{n:03}|It\'s "{n}", no?\n' for n in range(ROWS))
    return {
        "fsdd/lucas-1.0.10.tar.gz": tarred(digits),
        "vctk_p239/vctk_p239_16k.zip": zipped({"metadata.csv": listed.encode(), **spoken}),
    }


def _texts():
    lines = "".join(f"line {n}\n" for n in range(ROWS)).encode()
    names = ("train", "val", "test_2016_flickr")
    pairs = {f"multi30k/{name}.{language}.gz": lines for name in names for language in ("en", "de")}
    papers = {}
    for split in ("train", "dev", "test"):
        rows = [
            {
                "source": ["One.", "Two."],
                "target": ["One."],
                "paper_id": f"{split}{n}",
                "title": "T",
            }
            for n in range(3)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        papers[f"scitldr/{split}.jsonl.gz"] = text.encode()
    compressed = {name: gzip.compress(text) for name, text in (pairs | papers).items()}
    return {
        "rt_polarity/rt-polarity.neg": lines,
        "rt_polarity/rt-polarity.pos": lines,
        **compressed,
    }


def _movies():
    ratings = table("userId,movieId,rating,timestamp")
    movies = "movieId,title,genres\r\n" + "".join(
        f'{n},"A, {n}",Action|Drama\r\n' for n in range(ROWS)
    )
    inner = {"ratings.csv": ratings, "movies.csv": movies.encode(), "tags.csv": ratings}
    inner = {f"ml-latest-small/{name}": content for name, content in inner.items()}
    return {"movielens/ml-latest-small.zip": zipped(inner)}
