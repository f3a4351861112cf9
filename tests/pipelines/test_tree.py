"""Folders and archives as one: what is read, and what is refused with which reason."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from penstock.pipelines.reading import tar_archive
from penstock.pipelines.reading.tree import ReadFault, Tree

FILES = {
    "cat/1.txt": b"one",
    "cat/grey/2.txt": b"two" * 1000,
    "dog/ünï 犬.txt": b"",
    "zebra.txt": b"last",
}
HIDDEN = {".DS_Store": b"x", "cat/._1.txt": b"x", "__MACOSX/cat/1.txt": b"x", ".git/a/b": b"x"}
MB = 2**20


def make_folder(path):
    for name, data in {**FILES, **HIDDEN}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def make_zip(path, files=None, method=zipfile.ZIP_DEFLATED, prefix=""):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in (files if files is not None else {**FILES, **HIDDEN}).items():
            archive.writestr(prefix + name, data)
    return path


def make_tar(path, files=None, prefix=""):
    kind = path.suffix[1:].replace("tgz", "gz").replace("txz", "xz").replace("tar", "")
    with tarfile.open(path, f"w:{kind}") as archive:
        for name, data in (files if files is not None else {**FILES, **HIDDEN}).items():
            add(archive, prefix + name, data)
    return path


def add(archive, name, data=b"", kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(data), kind, link
    archive.addfile(member, io.BytesIO(data))


def faults(path):
    return {entry.name: entry.fault for entry in Tree(path).entries()}


MAKERS = {
    "folder": make_folder,
    "data.zip": make_zip,
    "stored.ZIP": lambda path: make_zip(path, method=zipfile.ZIP_STORED),
    "bzip2.zip": lambda path: make_zip(path, method=zipfile.ZIP_BZIP2),
    "data.tar": make_tar,
    "data.tar.gz": make_tar,
    "data.tgz": make_tar,
    "data.tar.bz2": make_tar,
    "data.tar.xz": make_tar,
    "dotted.tar": lambda path: make_tar(path, prefix="./"),
    "out.zip/a/b": lambda path: make_zip(path.parents[1], prefix="a/b/") and path,
    "out.tar.gz/a/b": lambda path: make_tar(path.parents[1], prefix="a/b/") and path,
}


@pytest.mark.parametrize("name", MAKERS)
def test_all_kinds_read_the_same(tmp_path, name):
    found = Tree(MAKERS[name](tmp_path / name))
    assert found.check() is None
    entries = found.entries()
    assert [(e.name, e.size, e.fault) for e in entries] == [
        (name, len(data), None) for name, data in sorted(FILES.items())
    ]
    assert found.folders() == ["cat", "cat/grey", "dog"]
    found = pickle.loads(pickle.dumps(found))
    for name, data in FILES.items():
        assert found.read(name, 10**6) == data
        with found.open(f"./{name}") as stream:
            assert stream.read(2) + stream.read() == data
    with pytest.raises(ReadFault, match="There is no file 'cat/3.txt' in"):
        found.read("cat/3.txt", 10)
    with pytest.raises(ReadFault, match="The file has 3000 bytes; at most 2999 are read."):
        found.read("cat/grey/2.txt", 2999)
    for name in ("../x", "/etc/passwd", "cat/../../x", "a\0b", ""):
        with pytest.raises(ReadFault, match=r"Its name|leads out"):
            found.read(name, 10)


def test_files_on_disk_are_what_the_cache_looks_at(tmp_path):
    folder = make_folder(tmp_path / "folder")
    assert Tree(folder).disk_files() == [folder / name for name in sorted(FILES)]
    archive = make_zip(tmp_path / "data.zip", prefix="in/")
    assert Tree(archive / "in").disk_files() == [archive]


def test_check_says_what_is_not_there(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "data.zip", {"in/a": b"", "in/inner.zip": b""})
    (tmp_path / "notes.txt").write_text("")
    assert "(nothing there)" in Tree(tmp_path / "no").check()
    assert "(a file that is none)" in Tree(tmp_path / "notes.txt").check()
    assert "has no folder 'out'. Expected: one of 'in'." in Tree(archive / "out").check()
    assert "an archive in an archive is not opened" in Tree(archive / "in/inner.zip").check()
    monkeypatch.chdir(tmp_path)
    assert f"in the current folder, {str(tmp_path)!r}" in Tree(Path("no")).check()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission denied" in Tree(archive).check()
    assert "permission denied" in Tree(tmp_path).check()


def test_empty_archives(tmp_path):
    assert Tree(make_zip(tmp_path / "a.zip", {})).entries() == []
    assert Tree(make_tar(tmp_path / "a.tar", {})).entries() == []
    (tmp_path / "b.tar").write_bytes(b"")
    (tmp_path / "b.zip").write_bytes(b"")
    for name in ("b.tar", "b.zip"):
        assert "is damaged or cut off" in Tree(tmp_path / name).check()


def test_what_lies_in_a_folder_without_being_a_file(tmp_path):
    folder = make_folder(tmp_path / "folder")
    (folder / "gone").symlink_to("nothing")
    (folder / "up").symlink_to("..")
    (folder / "linked").symlink_to("cat")
    os.mkfifo(folder / "pipe")
    with open(os.path.join(os.fsencode(folder), b"caf\xe9"), "wb"):
        pass
    found = faults(folder)
    assert found["gone"] == "It is a link that leads nowhere."
    assert found["pipe"] == "It is no file, but a named pipe."
    assert found["caf\\xe9"] == "The file's name is not valid UTF-8. Rename it."
    assert found["linked/1.txt"] is None
    assert not any(name.startswith("up/") for name in found)
    with pytest.raises(ReadFault, match="It is no file, but a named pipe."):
        Tree(folder).read("pipe", 10)
    with pytest.raises(ReadFault, match="It is no file, but a folder."):
        Tree(folder).read("cat", 10)


UNSAFE = ["../up", "/etc/passwd", "a/../../b", "..\\up", "C:\\x", "c:x", "a\\b"]


@pytest.mark.parametrize("make", [make_zip, make_tar], ids=["zip", "tar"])
def test_names_that_lead_out_are_refused(tmp_path, make):
    path = make(
        tmp_path / f"x{'.zip' if make is make_zip else '.tar'}", dict.fromkeys(UNSAFE, b"x")
    )
    found = faults(path)
    assert sorted(found) == sorted(UNSAFE)
    for name, fault in found.items():
        assert fault.startswith("Its name leads out of the place where it lies: ")
        with pytest.raises(ReadFault, match="leads out"):
            Tree(path).read(name, 10)


def test_a_name_with_a_zero_byte(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a.txtXb": b"x"})
    path.write_bytes(path.read_bytes().replace(b"a.txtXb", b"a.txt\0b"))
    assert faults(path) == {"a.txt\0b": "Its name is empty or contains a zero byte."}


def test_links_and_devices_in_archives_are_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        add(archive, "file", b"x")
        add(archive, "symbolic", kind=tarfile.SYMTYPE, link="/etc/passwd")
        add(archive, "hard", kind=tarfile.LNKTYPE, link="file")
        add(archive, "device", kind=tarfile.CHRTYPE)
        add(archive, "pipe", kind=tarfile.FIFOTYPE)
        add(archive, "sparse", kind=tarfile.GNUTYPE_SPARSE)
        add(archive, "folder", kind=tarfile.DIRTYPE)
    found = faults(tmp_path / "x.tar")
    link = "It is a link to '{}'; links in archives are not followed."
    other = "It is no plain file (a device, a pipe, a sparse file)."
    assert found == {
        "file": None,
        "symbolic": link.format("/etc/passwd"),
        "hard": link.format("file"),
        "device": other,
        "pipe": other,
        "sparse": other,
    }
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert faults(tmp_path / "x.zip") == {"link": "It is a link or a device, not a file."}


def test_names_that_occur_twice_are_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("a", "./a", "b"):
            add(archive, name, name.encode())
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("a", "b"):
            archive.writestr(name, name)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a", "again")
    for name in ("x.tar", "x.zip"):
        found = faults(tmp_path / name)
        assert found["b"] is None
        assert found["a"] == "The archive has several files of this name, so none of them is read."


def test_encrypted_and_unknown_methods(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a": b"aaaa"})
    data = bytearray(path.read_bytes())
    central = data.rindex(b"PK\x01\x02")
    data[central + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    assert faults(tmp_path / "locked.zip") == {"a": "It is encrypted."}
    data[central + 8] &= 0xFE
    data[central + 10] = 93
    (tmp_path / "zstd.zip").write_bytes(data)
    said = "It is compressed by a method that is not read (number 93)."
    assert faults(tmp_path / "zstd.zip") == {"a": said}


def test_bombs_by_ratio(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"bomb": bytes(17 * MB), "black": bytes(MB), "ok": b"1"})
    found = faults(path)
    assert found["black"] is None
    assert found["ok"] is None
    assert "It unpacks from 17,3" in found["bomb"]
    assert "to 17,825,792 bytes: a decompression bomb?" in found["bomb"]
    with pytest.raises(ReadFault, match="a decompression bomb"):
        Tree(path).open("bomb")
    path = make_tar(tmp_path / "x.tar.xz", {"bomb": bytes(17 * MB)})
    assert "is refused. It unpacks from" in Tree(path).check()


def test_bombs_by_total_size(tmp_path):
    files = {str(index): os.urandom(100) for index in range(11)}
    for path in (make_zip(tmp_path / "x.zip", files), make_tar(tmp_path / "x.tar", files)):
        assert Tree(path, 1100).check() is None
        assert "unpacks to more than 1,099 bytes" in Tree(path, 1099).check()
        with pytest.raises(ReadFault, match="more than 1,099 bytes"):
            Tree(path, 1099).entries()
    path = make_tar(tmp_path / "x.tar.gz", files)
    assert "unpacks to more than 9,999 bytes" in Tree(path, 9999).check()


def test_entries_that_overlap_are_a_bomb(tmp_path):
    # Two directory entries for the same bytes, as in Fifield's zip bomb.
    path = make_zip(tmp_path / "x.zip", {"a": b"x" * 1000})
    data = path.read_bytes()
    start, end = data.rindex(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    second = bytearray(data[start:end])
    second[46:47] = b"b"
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, 2, 2, 2 * (end - start))
    path.write_bytes(data[:end] + second + tail)
    assert "has entries that overlap" in Tree(path).check()


@pytest.mark.parametrize("claimed", [5, 3000])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_sizes_that_lie(tmp_path, claimed, method):
    path = make_zip(tmp_path / "x.zip", {"a": b"x" * 1000}, method)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, claimed)
    path.write_bytes(data)
    with pytest.raises(ReadFault, match="its size is not the|Bad CRC-32"):
        Tree(path).read("a", 10**6)


def test_damage_inside_an_entry(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a": os.urandom(5000), "b": b"x"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)
    with pytest.raises(ReadFault, match="It is damaged in the archive: Bad CRC-32 for file 'a'."):
        Tree(path).read("a", 10**6)
    assert Tree(path).read("b", 10) == b"x"


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz"])
def test_no_cut_goes_unseen(tmp_path, name):
    """Every prefix is refused as a whole, or lacks nothing."""
    files = {"a": b"x" * 700, "b": b"y" * 20, "c": b""}
    whole = (make_zip if name == "x.zip" else make_tar)(tmp_path / name, files).read_bytes()
    complete = 0
    cuts = [0, *range(1, len(whole), max(1, len(whole) // 40)), 512, 1024, 1536, 2048, 2560]
    for cut in (cut for cut in cuts if cut < len(whole)):
        path = tmp_path / f"{cut}-{name}"
        path.write_bytes(whole[:cut])
        if Tree(path).check() is None:
            complete += 1
            assert {e.name: Tree(path).read(e.name, 1000) for e in Tree(path).entries()} == files
        else:
            assert "is damaged or cut off" in Tree(path).check()
    # A tar is padded with zeros behind its end.
    assert complete == 0 or name.startswith("x.tar")


def test_a_damaged_header_in_the_middle_of_a_tar(tmp_path):
    path = make_tar(tmp_path / "x.tar", {"a": b"x" * 512, "b": b"y"})
    data = bytearray(path.read_bytes())
    data[1024 + 3] ^= 0xFF  # the name of `b`, which the checksum of its header covers
    path.write_bytes(data)
    assert "no header and no end at byte 1,024" in Tree(path).check()


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_archives_that_are_joined_are_refused(tmp_path, name):
    """Programs read the first of two tars and the last of two zips, and say nothing of the other."""
    make = make_zip if name == "x.zip" else make_tar
    make(tmp_path / name, {"a.txt": b"one"})
    first = (tmp_path / name).read_bytes()
    make(tmp_path / name, {"b.txt": b"two"})
    (tmp_path / name).write_bytes(first + (tmp_path / name).read_bytes())
    said = (
        "another archive to which it was joined" if name == "x.zip" else "something behind its end"
    )
    with pytest.raises(ReadFault, match=said):
        Tree(tmp_path / name).entries()
    if name == "x.zip":  # A program that unpacks itself.
        (tmp_path / name).write_bytes(b"MZ" + bytes(100) + first)
        assert Tree(tmp_path / name).read("a.txt", 9) == b"one"


def test_a_tar_that_leads_backwards_and_one_with_an_endless_name(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a")
        member.pax_headers = {"size": "-1536"}
        archive.addfile(member)
    assert "is damaged or cut off" in Tree(tmp_path / "x.tar").check()
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**32
    (tmp_path / "y.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    assert "A header claims 4,294,967,296 bytes" in Tree(tmp_path / "y.tar").check()


def test_a_wrong_suffix(tmp_path):
    for name in ("x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz"):
        (tmp_path / name).write_bytes(b"no archive at all" * 100)
        assert "is damaged or cut off" in Tree(tmp_path / name).check()


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tar_archive.tempfile, "TemporaryFile", Full)
    path = make_tar(tmp_path / "x.tar.gz", {"a": b"x"})
    assert "which failed: No space left on device. Make room" in Tree(path).check()


def test_an_archive_is_opened_again_when_it_has_changed(tmp_path):
    path = make_tar(tmp_path / "x.tar.gz", {"a": b"1"})
    found = Tree(path)
    assert found.read("a", 10) == b"1"
    make_tar(path, {"a": b"22", "b": b""})
    assert found.read("a", 10) == b"22"
    assert len(found.entries()) == 2


def test_threads_share_an_archive(tmp_path):
    files = {str(index): bytes([index]) * 5000 for index in range(50)}
    for path in (make_zip(tmp_path / "x.zip", files), make_tar(tmp_path / "x.tgz", files)):
        found, wrong = Tree(path), []

        def read(found=found, wrong=wrong):
            wrong += [name for name, data in files.items() if found.read(name, 10**4) != data]

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_a_gzip_file_alone_is_no_archive(tmp_path):
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"x"))
    assert "(a file that is none)" in Tree(tmp_path / "x.csv.gz").check()
