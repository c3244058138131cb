"""Converted networks on disk, so that only the first start on a machine converts them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import structlog

from contract.artifact import file_sha256

_log = structlog.get_logger()

_FILES = ("model.xml", "model.bin")
_SUMS = "sha256"


class IrCache:
    """A folder of OpenVINO IR, one folder an entry: any number of workers may share it.

    An entry appears whole or not at all and is never changed. One that is damaged is made anew; a
    folder that cannot be written to only means that the next start is slow, too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._refused = False

    def find(self, key: str) -> Path | None:
        """The ``.xml`` of an entry, its ``.bin`` beside it; None if there is none undamaged."""
        entry = self._folder / key
        try:
            if (entry / _SUMS).read_text("utf-8") == _sums(entry):
                return entry / _FILES[0]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError):
            pass
        _log.warning("cached network is damaged, made anew", entry=str(entry))
        return None

    def add(self, key: str, write: Callable[[Path], None]) -> Path | None:
        """Let `write` write an ``.xml`` and its ``.bin``; returns the path of the entry's.

        None, with a line in the log, if the folder cannot be written to.
        """
        entry = self._folder / key
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=f".{key}.") as temporary:
                made = Path(temporary) / key
                made.mkdir()
                write(made / _FILES[0])
                (made / _SUMS).write_text(_sums(made), "utf-8")
                if self.find(key) is None:  # else another worker was faster
                    shutil.rmtree(entry, ignore_errors=True)
                    _move(made, entry)
        except OSError as error:
            if not self._refused:
                _log.warning(
                    "cannot keep converted networks: the next start converts them again",
                    folder=str(self._folder),
                    error=str(error),
                )
            self._refused = True
            return None
        return self.find(key)


def _move(made: Path, entry: Path) -> None:
    try:
        made.rename(entry)
    except OSError:
        # Another worker's came in between: a folder with files in it is never replaced.
        if not entry.is_dir():
            raise


def _sums(entry: Path) -> str:
    # Read whole at every start, a tenth of a second: a damaged .bin is mapped into memory unseen
    # and gives wrong emotions.
    return "".join(f"{file_sha256(entry / name)}  {name}\n" for name in _FILES)
