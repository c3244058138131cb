"""Every file of a data set, in folders and in zips, by a name that can be relied on.

Zips are read in place. What real copies hold: names in Korean without the UTF-8 flag (cp949 that
zipfile takes for cp437), the same name composed in one place (NFC) and decomposed in another (NFD),
and what macOS leaves behind.
"""

from __future__ import annotations

import os
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contract.errors import UsageError
from trainer.data.record import MAX_IMAGE_BYTES, Source, Unreadable

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_UTF8_FLAG = 0x800
_ENCRYPTED_FLAG = 0x1
_LOCAL_HEADER_BYTES = 30
IGNORED = ("__MACOSX", ".")


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A file in a folder."""

    path: str

    def read(self, limit: int = MAX_IMAGE_BYTES) -> bytes:
        try:
            with Path(self.path).open("rb") as stream:
                data = stream.read(limit + 1)
        except OSError as error:
            raise Unreadable(f"cannot read the file: {error.strerror}") from error
        if len(data) > limit:
            raise Unreadable("the file is too large")
        return data


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A file in a zip. Read by its place, so that threads need no lock and no open archive."""

    archive: str
    offset: int
    stored_bytes: int
    file_bytes: int
    method: int
    crc: int
    flags: int

    def read(self, limit: int = MAX_IMAGE_BYTES) -> bytes:
        if self.flags & _ENCRYPTED_FLAG:
            raise Unreadable("encrypted in the zip")
        if max(self.file_bytes, self.stored_bytes) > limit:
            raise Unreadable("the file is too large")
        try:
            with Path(self.archive).open("rb") as stream:
                stream.seek(self.offset)
                head = stream.read(_LOCAL_HEADER_BYTES)
                if len(head) < _LOCAL_HEADER_BYTES or head[:4] != b"PK\3\4":
                    raise Unreadable("damaged in the zip")
                names = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
                stream.seek(sum(names), os.SEEK_CUR)
                data = stream.read(self.stored_bytes)
        except OSError as error:
            raise Unreadable(f"cannot read the zip: {error.strerror}") from error
        if self.method == zipfile.ZIP_DEFLATED:
            try:
                # One byte more than there should be: a member that lies about its size is damaged.
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.file_bytes + 1)
            except zlib.error as error:
                raise Unreadable("damaged in the zip") from error
        elif self.method != zipfile.ZIP_STORED:
            raise Unreadable(f"zip method {self.method} is not known here")
        if len(data) != self.file_bytes or zlib.crc32(data) != self.crc:
            raise Unreadable("damaged in the zip")
        return data


@dataclass(frozen=True, slots=True)
class File:
    """A file of the data set.

    name     its path in the data set, composed (NFC), parts separated by "/"; a zip counts as a
             folder of its name
    source   its bytes
    """

    name: str
    source: Source

    @property
    def suffix(self) -> str:
        """ ".jpg", in lower case."""
        return os.path.splitext(self.name)[1].lower()  # noqa: PTH122  (a million Paths are slow)

    @property
    def base(self) -> str:
        """The name without its folders."""
        return self.name.rpartition("/")[2]

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def is_image(self) -> bool:
        return self.suffix in IMAGES


@dataclass(frozen=True, slots=True)
class DataSet:
    """The files under `path`, sorted by name, and the zips that could not be opened."""

    path: Path
    files: tuple[File, ...]
    bad_zips: tuple[str, ...] = ()

    def images(self) -> Iterator[File]:
        return (file for file in self.files if file.is_image)


def list_files(path: Path) -> DataSet:
    """Every file of a folder, a zip, or a folder with zips in it.

    A zip inside a zip isn't opened. Raises `UsageError` when there is no such thing, or it is
    neither.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    files: list[File] = []
    bad: list[str] = []
    if path.is_dir():
        for file in _walk(path):
            name = _disk_name(file.relative_to(path).as_posix())
            if file.suffix.lower() == ".zip":
                try:
                    files += _members(file, name + "/")
                except UsageError as error:
                    bad.append(str(error))
            else:
                files.append(File(name, DiskFile(str(file))))
    elif zipfile.is_zipfile(path):
        files = list(_members(path, ""))
    elif path.suffix.lower() == ".zip":
        raise UsageError(f"{path}: not a zip, or not copied whole")
    else:
        files = [File(_disk_name(path.name), DiskFile(str(path)))]
    files.sort(key=lambda file: file.name)
    return DataSet(path, tuple(files), tuple(sorted(bad)))


def composed(name: str) -> str:
    """`name` in NFC, so that the same text is the same string."""
    return unicodedata.normalize("NFC", name)


def text_of(data: bytes) -> str:
    """The text of a label file: UTF-8 with or without BOM, UTF-16 with one, or else cp949."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp949")


def _disk_name(name: str) -> str:
    """The composed name; cp949 where a plain `unzip` left its bytes as they were."""
    raw = os.fsencode(name)
    try:
        return composed(raw.decode())
    except UnicodeDecodeError:
        return composed(raw.decode("cp949", "replace"))


def _walk(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"{folder}: cannot read the folder: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith(IGNORED):
            continue
        if entry.is_dir():
            if not entry.is_symlink():  # it may lead back up
                yield from _walk(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)


def _members(path: Path, prefix: str) -> Iterator[File]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise UsageError(f"{path}: cannot open the zip: {error}") from error
    archive_path = str(path)
    for info in infos:
        name = member_name(info)
        if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
            continue
        if any(part.startswith(IGNORED) for part in name.split("/")):
            continue
        yield File(
            prefix + name,
            ZipMember(
                archive_path,
                info.header_offset,
                info.compress_size,
                info.file_size,
                info.compress_type,
                info.CRC,
                info.flag_bits,
            ),
        )


def member_name(info: zipfile.ZipInfo) -> str:
    """The name of a zip's member, composed; without the UTF-8 flag UTF-8 (macOS) or cp949."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8_FLAG:
        raw = name.encode("cp437")
        for encoding in ("utf-8", "cp949"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return composed(name.partition("\0")[0].replace("\\", "/"))
