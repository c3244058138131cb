"""Records to signals to sinks: what every command that plays shares."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from consumer.chain import Chain
from consumer.files import check_outputs
from consumer.jsonl import JsonLines
from consumer.partial import PartialFile
from consumer.play_settings import PlaySettings
from consumer.sinks.csv import CsvTable
from consumer.sinks.fan_out import FanOut
from consumer.sinks.playout import Playout
from consumer.sinks.sink import Sink
from consumer.sinks.stream import SignalStream
from contract.connect import check, connect, explained
from contract.errors import UsageError
from contract.event import Record
from contract.smoothed import Signal

_log = logging.getLogger(__name__)


class Play:
    """The chain and the sinks that `settings` ask for; a context manager.

    url, prefix   the server that `--publish` writes to
    sinks         more of them
    speed         how much faster than they were captured the records come: in a replay

    Opening it raises `UsageError` for what cannot be used (a file, a port, a host) before anything
    is read. At a clean end the files get their names; after an exception, and where something was
    lost, they stay ``.partial``.
    """

    def __init__(
        self,
        settings: PlaySettings,
        url: str,
        prefix: str,
        sinks: Sequence[Sink[Signal]] = (),
        *,
        speed: float = 1.0,
    ) -> None:
        self._settings = settings
        self._url = url
        self._prefix = prefix
        self._more = sinks
        self._speed = speed
        options = settings.chain_options()
        if speed < 1.0:  # what comes slower must not be taken for silence
            options = replace(
                options,
                lateness_s=options.lateness_s / speed,
                silence_s=options.silence_s / speed,
            )
        self.chain = Chain(options)

    def __enter__(self) -> Play:
        with ExitStack() as stack:
            check_outputs(self._settings.outputs)
            self._files: list[tuple[Sink[Signal], PartialFile]] = []
            try:
                self._fan_out = FanOut([*self._more, *self._build(stack)])
            except BaseException:  # another flag cannot be used: nothing was written yet
                for _, file in self._files:
                    file.discard()
                raise
            stack.enter_context(self._fan_out)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        is_clean = False
        try:
            self._stack.close()
            is_clean = kind is None
            self._tell_late()
        finally:
            for sink, file in self._files:
                _end(sink.name, file, is_complete=is_clean and not self.lost[sink.name])

    @property
    def lost(self) -> dict[str, int]:
        """Signals that did not reach a sink, by its name."""
        return self._fan_out.lost

    def put(self, record: Record, now_s: float) -> Sequence[Signal]:
        """Take a record that came at monotonic `now_s`; the signals it let go went to the sinks."""
        return self._hand_on(self.chain.put(record, now_s), now_s)

    def due(self, now_s: float) -> Sequence[Signal]:
        """The same for what need not wait any longer."""
        return self._hand_on(self.chain.due(now_s), now_s)

    def flush(self, now_s: float) -> Sequence[Signal]:
        """The same for everything that waits; at the end."""
        return self._hand_on(self.chain.flush(now_s), now_s)

    def next_due_s(self) -> float | None:
        """When `due` has something to do, if nothing is put before."""
        return self.chain.next_due_s()

    def _hand_on(self, signals: Sequence[Signal], now_s: float) -> Sequence[Signal]:
        if signals:
            self._fan_out.put(signals, now_s)
        return signals

    def _tell_late(self) -> None:
        if late := self.chain.late:
            events = "event was" if late == 1 else "events were"
            _log.warning(
                "%d %s left out: later than --lateness %g s allows",
                late, events, self._settings.lateness,
            )  # fmt: skip

    def _build(self, stack: ExitStack) -> list[Sink[Signal]]:
        settings = self._settings
        sinks: list[Sink[Signal]] = []
        if settings.csv is not None:
            file = self._file("--csv", settings.csv, stack)
            sinks.append(CsvTable(file.stream, f"csv {settings.csv}", settings.scale))
            self._files.append((sinks[-1], file))
        if settings.jsonl is not None:
            file = self._file("--jsonl", settings.jsonl, stack)
            sinks.append(JsonLines(file.stream, f"json lines {settings.jsonl}"))
            self._files.append((sinks[-1], file))
        if settings.publish:
            sinks.append(self._stream())
        if settings.osc:
            sinks.append(self._osc())
        return sinks + [self._midi(target) for target in settings.midi]

    def _osc(self) -> Sink[Signal]:
        with _needs("osc", "--osc"):
            from consumer.sinks.osc import OscSink
            from consumer.sinks.udp import UdpAddress

        settings = self._settings
        addresses = [UdpAddress.parse(text) for text in settings.osc]
        return OscSink(
            addresses, self._playout(), by=settings.osc_by, scale=settings.scale, first=True
        )

    def _midi(self, target: str) -> Sink[Signal]:
        with _needs("midi", "--midi"):
            from consumer.sinks.midi import midi_sink

        return midi_sink(target, self._playout(), self._settings.rate, first=True)

    def _playout(self) -> Playout:
        return Playout(self._settings.rate, self._settings.delay, self._speed)

    def _file(self, flag: str, path: Path, stack: ExitStack) -> PartialFile:
        try:
            file = PartialFile(path)
        except OSError as error:
            raise UsageError(f"{flag} {path}: {error.strerror}") from error
        stack.callback(file.leave)
        return file

    def _stream(self) -> SignalStream:
        client = connect(self._url, retries=0)
        check(client, self._url)
        stream = SignalStream(client, self._url, self._prefix, self._settings.keep_published)
        with explained(self._url):
            stream.open(time.monotonic())
        return stream


def _end(name: str, file: PartialFile, *, is_complete: bool) -> None:
    """Give a file its name, or say where it is."""
    if is_complete:
        try:
            file.finish()
            return
        except OSError as error:
            print(f"{name}: {error.strerror or error}", file=sys.stderr)
    if file.is_empty:
        file.discard()
    else:
        print(f"{name}: what was written so far is in {file.partial}", file=sys.stderr)


@contextmanager
def _needs(extra: str, flag: str) -> Iterator[None]:
    """An import that fails because the extra is not installed, in one line."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{flag} needs {error.name}, which is not installed: "
            f"pip install 'emotion-stream[{extra}]'"
        ) from error
