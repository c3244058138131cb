"""What the user named, and how it is opened."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from contract.errors import SourceError
from producer.camera import CameraVideo
from producer.ids import assign_ids, id_of_camera, id_of_file, id_of_url, label_of_url
from producer.media import MediaVideo
from producer.repeat import RepeatedVideo
from producer.video import Video

Kind = Literal["file", "camera", "url"]

URL_SCHEMES = ("rtsp", "rtsps", "http", "https")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_CAMERA = re.compile(r"(?:/dev/video)?([0-9]{1,4})")

# What counts as a video in a folder; a file named on its own may be called anything.
VIDEO_SUFFIXES = frozenset(
    {
        *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
        *(".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
    }
)


@dataclass(frozen=True, slots=True)
class Source:
    """One video source.

    id         what frames and events call it
    kind       file, camera of this machine, or URL
    location   path, camera number or URL, as given; out of `repr`, it can hold a password
    """

    id: str
    kind: Kind
    location: str = field(repr=False)

    @property
    def label(self) -> str:
        """What messages call it: what the user typed, without user name and password."""
        return label_of_url(self.location) if "://" in self.location else self.location

    @property
    def is_local(self) -> bool:
        """Whether opening it needs no network, so that failing to is the user's to hear at once."""
        return self.kind != "url"

    @property
    def is_pipe(self) -> bool:
        """Whether it is a file whose beginning is gone once it was opened."""
        try:
            mode = Path(self.location).stat().st_mode
        except OSError:
            return False
        return self.kind == "file" and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))

    def open(self, *, loop: bool = False, on_damage: Callable[[], None] = lambda: None) -> Video:
        """Open it; `loop` makes a file start over at its end.

        `on_damage` is called for each piece that is skipped or decoded only in part.

        Raises `SourceError` for what cannot be used, `SourceLost` for a server that is not there
        just now.
        """
        if self.kind == "camera":
            return CameraVideo(int(self.location))
        if self.kind == "url":
            return MediaVideo(self.location, self.label, live=True, on_damage=on_damage)
        _check_file(self.location, self.label)
        # Without the prefix FFmpeg takes `take:1.mp4` for the protocol `take`.
        location = f"file:{self.location}"
        open_file = partial(MediaVideo, location, self.label, live=False, on_damage=on_damage)
        return RepeatedVideo(open_file) if loop else open_file()


def find_sources(arguments: Sequence[str], wanted_ids: Sequence[str]) -> list[Source]:
    """The sources the user's `arguments` stand for, each with its id.

    A folder stands for all video files directly inside it, sorted by name, each a source of its
    own; one without any stands for itself, and opening it says what is wrong. Raises `UsageError`
    for ids that cannot be used and for what is meant as a URL and is none.
    """
    found = [item for argument in arguments for item in _expand(argument)]
    ids = assign_ids([default for default, _, _ in found], wanted_ids)
    return [
        Source(source_id, kind, location)
        for source_id, (_, kind, location) in zip(ids, found, strict=True)
    ]


def _expand(argument: str) -> Iterator[tuple[str, Kind, str]]:
    """(default id, kind, location) of every source that one argument stands for."""
    if camera := _CAMERA.fullmatch(argument):
        index = int(camera[1])
        yield id_of_camera(index), "camera", str(index)
        return
    scheme = _SCHEME.match(argument)
    if scheme:  # of a kind that we don't read: opening it says so
        yield id_of_url(argument), "url" if scheme[1].lower() in URL_SCHEMES else "file", argument
        return
    path = Path(argument)
    inside = sorted(_videos_in(path)) if path.is_dir() else []
    for file in inside or [path]:
        yield id_of_file(file), "file", argument if file is path else str(file)


def _videos_in(folder: Path) -> Iterator[Path]:
    try:
        for path in folder.iterdir():
            # macOS leaves `._clip.mp4` beside clips on foreign disks; it holds no video.
            hidden = path.name.startswith(".")
            if path.suffix.lower() in VIDEO_SUFFIXES and not hidden and path.is_file():
                yield path
    except PermissionError:
        return  # opening the folder says so


def _check_file(location: str, label: str) -> None:
    """Say in plain words what FFmpeg would say in its own."""
    if scheme := _SCHEME.match(location):
        expected = ", ".join(f"{known}://" for known in URL_SCHEMES)
        raise SourceError(f"{label}: expected a file or one of {expected}, got {scheme[0]}")
    path = Path(location)
    try:
        if path.is_dir():
            raise SourceError(f"{label}: a folder without video files")
        if path.is_file() and path.stat().st_size == 0:
            raise SourceError(f"{label}: an empty file")
        if not path.exists():
            raise SourceError(f"{label}: no such file")
    except OSError as error:
        raise SourceError(f"{label}: {error.strerror}") from error
