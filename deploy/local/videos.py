"""``--annotate``: which files are written, from what, and how far that is."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from consumer.files import replacing
from contract.errors import UsageError
from deploy.local.annotate import SUFFIXES, Sightings, annotate
from producer.source import Source


class AnnotatedVideos:
    """One video per source: `output`, or with several sources ``NAME-SOURCE``.

    Raises `UsageError` for a kind of file that is not a video.
    """

    def __init__(self, output: Path, sources: Sequence[Source]) -> None:
        if output.suffix.lower() not in SUFFIXES:
            expected = ", ".join(SUFFIXES)
            raise UsageError(f"--annotate {output}: expected a name that ends in {expected}")
        self._several = len(sources) > 1
        self._output = output
        self._files = {source.id for source in sources if source.kind == "file"}
        self.outputs = [self._path(source.id, 1) for source in sources]

    @contextmanager
    def recordings(self) -> Iterator[Path]:
        """A folder for what the producer sends, gone afterwards; on the disk of the output, which
        has to have room for it anyway."""
        folder = self._output.resolve().parent
        with tempfile.TemporaryDirectory(
            prefix=".emotion-", dir=folder, ignore_cleanup_errors=True
        ) as path:
            yield Path(path)

    def write(self, recordings: Path, sightings: Sightings, console: Console) -> list[Path]:
        """Write a video for every session that was seen; returns what was written.

        A session is one run of a source: a camera that was away for a while has several.
        """
        written = []
        numbers: Counter[str] = Counter()
        with Progress(
            TextColumn("  {task.description}"),
            BarColumn(None),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as progress:
            for source, session in sightings.sessions():
                recording = recordings / f"{source}-{session}.mkv"
                if not recording.exists():
                    continue
                numbers[source] += 1
                path = self._path(source, numbers[source])
                seen = sightings.of(source, session)
                task = progress.add_task(path.name, total=max(seen) + 1)
                with replacing(path) as unfinished:
                    annotate(
                        recording,
                        seen,
                        unfinished,
                        lambda count, task=task: progress.update(task, completed=count),  # type: ignore[misc]
                        keep_start=source in self._files,
                    )
                written.append(path)
        return written

    def _path(self, source: str, number: int) -> Path:
        parts = [self._output.stem]
        parts += [source] if self._several else []
        parts += [str(number)] if number > 1 else []
        return self._output.with_name("-".join(parts) + self._output.suffix)
