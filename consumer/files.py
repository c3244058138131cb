"""Files this command writes: refused before anything starts, or complete when it is done."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from contract.errors import UsageError


def check_outputs(outputs: Sequence[tuple[str, Path]], sources: Sequence[str] = ()) -> None:
    """Raises `UsageError` with a line for every file that could not be written at the end of the
    run, which may be hours away. `outputs` are flags and files, `sources` what is read."""
    faults = [
        f"{flag} {path}: {fault}"
        for flag, path in outputs
        if (fault := output_fault(path, sources)) is not None
    ]
    if len({path.resolve() for _, path in outputs}) < len(outputs):
        faults.append(f"{' and '.join(flag for flag, _ in outputs)}: expected different files")
    if faults:
        raise UsageError("\n".join(faults))


def output_fault(path: Path, sources: Sequence[str] = ()) -> str | None:
    """Why a file cannot be written; None if it can."""
    if path.is_dir():
        return "is a folder, expected a file name"
    if path.exists() and not path.is_file():
        return "is not a regular file"
    folder = path.resolve().parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist"
    if not os.access(folder, os.W_OK):
        return f"the folder {folder} cannot be written"
    if path.exists() and any(Path(source).exists() and path.samefile(source) for source in sources):
        return "is one of the sources, which would be overwritten"
    return None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file name beside `path` to write to; it becomes `path` when the block ends well.

    When it doesn't, the unfinished file goes and `path` stays as it was.
    """
    path = path.resolve()  # a link's target is replaced, not the link
    unfinished = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
