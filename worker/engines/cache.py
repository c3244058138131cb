"""Converted networks on disk, so that only the first start on a machine converts them."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
            with _alone(self._folder / f".{key}.lock"):
                if (found := self.find(key)) is not None:
                    return found  # another worker was faster
                # Of workers that were killed: whoever is alive has the lock.
                for left in self._folder.glob(f".{key}.*.tmp"):
                    shutil.rmtree(left, ignore_errors=True)
                with tempfile.TemporaryDirectory(
                    dir=self._folder, prefix=f".{key}.", suffix=".tmp"
                ) as temporary:
                    made = Path(temporary) / key
                    made.mkdir()
                    write(made / _FILES[0])
                    (made / _SUMS).write_text(_sums(made), "utf-8")
                    shutil.rmtree(entry, ignore_errors=True)
                    made.rename(entry)
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


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Until the end of the block no other worker on this machine is in such a block.

    Workers that start together would each take 1.9 GB to convert the same networks.
    """
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # goes with the file, and with the process
        yield


def _sums(entry: Path) -> str:
    # Read whole at every start, a tenth of a second: a damaged .bin is mapped into memory unseen
    # and gives wrong emotions.
    return "".join(f"{file_sha256(entry / name)}  {name}\n" for name in _FILES)
