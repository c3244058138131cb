"""Reads a recorded session."""

from __future__ import annotations

import gzip
import io
import itertools
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consumer.session import layout
from contract.errors import DecodeError, SessionError
from contract.event import Record, record_from_dict

_log = logging.getLogger(__name__)

_GZIP_MAGIC = b"\x1f\x8b"


class SessionReader:
    """Iterates over the records of a session and the times they came::

        for at_s, record in SessionReader(Path("concert.jsonl.gz")):
            ...

    `at_s` is seconds since the recording began, and never goes back. Every iteration reads the file
    anew, a line at a time. A session that was cut off (its machine died, or it is being recorded
    just now) is played as far as it is whole, with a warning in the log.

    Whether a session is compressed is read from its first bytes, not from its name: an unfinished
    one is called ``NAME.gz.partial``.

    header       when it began and who made it
    is_cut       after an iteration: whether the end was missing
    count        after an iteration: how many records there were
    duration_s   after an iteration: how long the recording lasted; up to the last record if cut

    Raises `SessionError`, here and while iterating, naming the file and the line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_cut = False
        self.count = 0
        self.duration_s = 0.0
        self._has_warned = False
        with self._opened() as stream:
            self.header = self._header(stream)

    def __iter__(self) -> Iterator[tuple[float, Record]]:
        return self.records()

    def records(self, from_s: float = 0.0) -> Iterator[tuple[float, Record]]:
        """From `from_s` on; what came before is passed over without a close look."""
        self.is_cut, self.count, self.duration_s = False, 0, 0.0
        with self._opened() as stream:
            self._header(stream)
            last_ns = 0
            for number, fields in self._lines(stream):
                with self._at_line(number):
                    footer = layout.footer_of(fields)
                    if footer is not None:
                        self._end(footer, last_ns, stream)
                        return
                    at_ns = layout.offset_ns(fields)
                    if at_ns < last_ns:
                        raise DecodeError(
                            "malformed", f"at_ns: expected {last_ns} or more, got {at_ns}"
                        )
                    message = layout.message(fields)
                    record = record_from_dict(message) if at_ns >= from_s * 1e9 else None
                last_ns = at_ns
                self.count += 1
                self.duration_s = at_ns / 1e9
                if record is not None:
                    yield at_ns / 1e9, record
        self.is_cut = True
        if self._has_warned:  # played in a loop
            return
        self._has_warned = True
        _log.warning(
            "%s: its end is missing, so only what is whole is read: %s, %.1f s",
            self.path,
            "1 record" if self.count == 1 else f"{self.count} records",
            self.duration_s,
        )

    @contextmanager
    def _opened(self) -> Iterator[io.BufferedIOBase]:
        try:
            with self.path.open("rb") as raw:
                is_gzip = raw.peek(2)[:2] == _GZIP_MAGIC
                if not is_gzip:
                    yield raw
                    return
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield stream
        except (gzip.BadGzipFile, zlib.error) as error:
            raise SessionError(f"{self.path}: damaged: {error}") from error
        except OSError as error:
            raise SessionError(f"{self.path}: {error.strerror or error}") from error

    @contextmanager
    def _at_line(self, number: int) -> Iterator[None]:
        try:
            yield
        except DecodeError as error:
            raise SessionError(f"{self.path}, line {number}: {error}") from error

    def _header(self, stream: io.BufferedIOBase) -> layout.Header:
        try:
            line = stream.readline(layout.MAX_LINE_BYTES)
        except EOFError:
            line = b""
        with self._at_line(1):
            return layout.parse_header(line)

    def _lines(self, stream: io.BufferedIOBase) -> Iterator[tuple[int, dict[str, object]]]:
        """Line numbers and what is in the lines, as far as they are whole."""
        for number in itertools.count(2):
            try:
                line = stream.readline(layout.MAX_LINE_BYTES + 1)
            except EOFError:  # the end of the compressed data is missing
                return
            if not line:
                return
            with self._at_line(number):
                if len(line) > layout.MAX_LINE_BYTES:
                    raise DecodeError(
                        "oversized", f"expected at most {layout.MAX_LINE_BYTES:,} bytes in a line"
                    )
                try:
                    fields = layout.parse_line(line)
                except DecodeError:
                    if line.endswith(b"\n"):
                        raise
                    return  # half a line, the last one
            yield number, fields

    def _end(self, footer: layout.Footer, last_ns: int, stream: io.BufferedIOBase) -> None:
        if footer.records != self.count:
            raise DecodeError(
                "malformed", f"expected {self.count} records, as there are, got {footer.records}"
            )
        if footer.duration_ns < last_ns:
            raise DecodeError(
                "malformed", f"duration_ns: expected {last_ns} or more, got {footer.duration_ns}"
            )
        try:
            rest = stream.read(1)  # reads on to the checksum of compressed data too
        except EOFError:
            rest = b""
        if rest:
            raise DecodeError("malformed", "expected nothing after the end of the session")
        self.duration_s = footer.duration_ns / 1e9
