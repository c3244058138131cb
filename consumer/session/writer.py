"""Writes a recorded session."""

from __future__ import annotations

import contextlib
import gzip
import importlib.metadata
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from consumer.partial import PartialFile
from consumer.session import layout
from contract.errors import SessionError
from contract.event import Record

_log = logging.getLogger(__name__)

FLUSH_EVERY_NS = 1_000_000_000
_GZIP_LEVEL = 4  # three times as fast as 9, for 5 % more bytes


class SessionWriter:
    """Written as ``NAME.partial`` and renamed by `finish`; a context manager::

        with SessionWriter(Path("concert.jsonl.gz"), started_at_ns=time.time_ns()) as session:
            for ...:
                session.write(record, at_ns)
            session.finish(duration_ns)

    A block that ends without `finish` leaves the ``.partial`` file, which `SessionReader` reads as
    far as it goes; at most the last second is missing. An earlier one is never overwritten: then it
    is ``NAME.partial-2``.

    path           compressed if its name ends in ``.gz``
    started_at_ns  wall clock of the beginning, which the offsets count from
    overwrite      replace a finished session of that name; only `finish` does it
    created_by     who made it; by default this distribution and its version

    Raises `SessionError` if the file exists or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        started_at_ns: int,
        overwrite: bool = False,
        created_by: str | None = None,
    ) -> None:
        self.path = path
        self.count = 0
        self._header = layout.Header(started_at_ns, created_by or _this_program())
        self._overwrite = overwrite
        self._last_ns = 0
        self._flushed_ns = 0

    @property
    def size_bytes(self) -> int:
        """Of the file so far, what is not flushed yet left out."""
        return os.fstat(self._raw.fileno()).st_size

    def __enter__(self) -> SessionWriter:
        self._refuse_existing()
        with self._explained():
            self._create()
            self._stream.write(layout.header_line(self._header))
            self._flush()
        return self

    def write(self, record: Record, at_ns: int) -> None:
        """Add a record that came `at_ns` after the beginning; times must not go back."""
        if at_ns < self._last_ns:
            raise ValueError(f"at_ns: expected {self._last_ns} or more, got {at_ns}")
        with self._explained():
            self._stream.write(layout.record_line(at_ns, record))
        self._last_ns = at_ns
        self.count += 1
        self.tick(at_ns)

    def tick(self, at_ns: int) -> None:
        """It is `at_ns` after the beginning: once a second, what was written survives us."""
        if at_ns - self._flushed_ns >= FLUSH_EVERY_NS:
            self._flushed_ns = at_ns
            with self._explained():
                self._flush()

    def finish(self, duration_ns: int) -> None:
        """The recording lasted so long and is complete: give it its name."""
        footer = layout.Footer(self.count, max(duration_ns, self._last_ns))
        with self._explained():
            self._stream.write(layout.footer_line(footer))
            if self._gzip is not None:
                self._gzip.close()
            self._raw.flush()
            os.fsync(self._raw.fileno())  # the name must not be there before what it names
            self._refuse_existing()  # again: hours may have passed
            self._file.finish()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._file.is_open:  # finished
            return
        with contextlib.suppress(OSError):  # a full disk was told before
            if self._gzip is not None:
                self._gzip.close()
        with contextlib.suppress(OSError):
            self._file.leave()
        if self.count:
            so_far = "1 record so far is" if self.count == 1 else f"{self.count} records so far are"
            _log.warning("the %s in %s", so_far, self._file.partial)
        else:
            self._file.discard()

    def _create(self) -> None:
        self._file = PartialFile(self.path)
        self._raw = self._file.stream.buffer
        # Without a name and a time in it, the same session makes the same bytes.
        self._gzip = (
            gzip.GzipFile("", "wb", _GZIP_LEVEL, self._raw, mtime=0)
            if self.path.suffix == ".gz"
            else None
        )
        self._stream = self._gzip or self._raw

    def _flush(self) -> None:
        self._stream.flush()  # gzip: a sync point, up to which a cut file can be read
        self._raw.flush()

    def _refuse_existing(self) -> None:
        if self.path.is_dir():
            raise SessionError(f"{self.path}: is a folder, expected a file name")
        if self.path.exists() and not self._overwrite:
            raise SessionError(f"{self.path}: exists; another name, or --force to replace it")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SessionError(
                f"{self.path}: cannot be written: {error.strerror or error}"
            ) from error


def _this_program() -> str:
    try:
        version = importlib.metadata.version("emotion-stream")
    except importlib.metadata.PackageNotFoundError:  # from a checkout that was not installed
        version = "?"
    return f"emotion-stream {version}"
