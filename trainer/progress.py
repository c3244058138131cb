"""What a training run says while it goes: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

_LINE_EVERY_S = 30.0


class Progress(Protocol):
    """Told by a run; `seconds_left` is None while nobody can say."""

    def note(self, text: str) -> None: ...

    def step(
        self, epoch: int, epochs: int, done: float, images_per_s: float, seconds_left: float | None
    ) -> None: ...

    def epoch(self, entry: Mapping[str, float], epochs: int, *, best: bool) -> None: ...


def epoch_line(entry: Mapping[str, float], epochs: int, *, best: bool) -> str:
    """One epoch in one line."""
    return (
        f"epoch {entry['epoch']:.0f}/{epochs}  loss {entry['loss']:.4f}  "
        f"validation {100 * entry['valid_accuracy']:.2f} %, loss {entry['valid_loss']:.4f}  "
        f"rate {entry['rate']:.2g}  {entry['images_per_s']:,.0f} images/s"
        + ("  best so far" if best else "")
    )


def duration(seconds: float) -> str:
    """1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Lines:
    """A line for every epoch, and within long epochs one every half minute. Needs nothing."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._said_s = clock()

    def note(self, text: str) -> None:
        self._say(text)

    def step(
        self, epoch: int, epochs: int, done: float, images_per_s: float, seconds_left: float | None
    ) -> None:
        if self._clock() - self._said_s < _LINE_EVERY_S:
            return
        left = "" if seconds_left is None else f", {duration(seconds_left)} left"
        self._say(f"epoch {epoch}/{epochs}: {done:.0%}, {images_per_s:,.0f} images/s{left}")

    def epoch(self, entry: Mapping[str, float], epochs: int, *, best: bool) -> None:
        self._say(epoch_line(entry, epochs, best=best))

    def _say(self, text: str) -> None:
        self._said_s = self._clock()
        print(text, file=self._stream, flush=True)


class Bar:
    """A rich progress bar over all epochs, the epochs' lines above it. A context manager."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %  {task.fields[speed]}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("training", total=1.0, epoch="1", speed="compiling ...")

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, markup=False)

    def step(
        self, epoch: int, epochs: int, done: float, images_per_s: float, seconds_left: float | None
    ) -> None:
        left = "" if seconds_left is None else f", {duration(seconds_left)} left"
        self._bar.update(
            self._task,
            completed=(epoch - 1 + done) / epochs,
            epoch=f"{epoch}/{epochs}",
            speed=f"{images_per_s:,.0f} images/s{left}",
        )

    def epoch(self, entry: Mapping[str, float], epochs: int, *, best: bool) -> None:
        self.note(epoch_line(entry, epochs, best=best))
