"""`emotion-worker dead`: settings in, letters out, exit code out."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from contract.connect import check, connect, explained
from contract.console import discard
from contract.errors import UsageError
from contract.keys import Keys
from contract.partitions import Layout, read_layout
from contract.process.command import run_command
from contract.process.settings import RoleSettings
from contract.redact import redacted
from worker.dead.letters import DeadLetter, DeadLetters
from worker.dead.settings import (
    DropSettings,
    ListSettings,
    RequeueSettings,
    ShowSettings,
)
from worker.dead.table import Row, print_json, print_letter, print_table

PROGRAM = "emotion-worker dead"
HELP = """\
usage: emotion-worker dead list|show|requeue|drop [...]

Frames that could not be analysed are kept as dead letters, with the reason and
the bytes that came. They hold pictures of people: workers keep them for
--keep-dead-days, and no more than --keep-dead and --keep-dead-mb allow.

  emotion-worker dead list                          what there is, newest last
  emotion-worker dead show ID --image face.jpg      everything about one
  emotion-worker dead requeue --all --reason error  try them again
  emotion-worker dead drop --all --older-than 2d    throw them away

Each has its own --help.
"""

S = TypeVar("S", bound=RoleSettings)
Work = Callable[[DeadLetters, S], int]


def main(argv: Sequence[str]) -> int:
    """Run the command on what follows `emotion-worker dead`; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # ids of sources, whatever the locale says
    name, rest = (argv[0], argv[1:]) if argv else ("", ())
    if name == "list":
        return _run(ListSettings, name, _list, rest)
    if name == "show":
        return _run(ShowSettings, name, _show, rest)
    if name == "requeue":
        return _run(RequeueSettings, name, _requeue, rest)
    if name == "drop":
        return _run(DropSettings, name, _drop, rest)
    if name in ("-h", "--help"):
        print(HELP, end="")
        return 0
    got = f", got {name!r}" if name else ""
    print(f"{PROGRAM}: expected list, show, requeue or drop{got}", file=sys.stderr)
    return UsageError.exit_code


def _run(settings_class: type[S], name: str, work: Work[S], argv: Sequence[str]) -> int:
    def with_letters(settings: S) -> int:
        with _letters(settings) as letters:
            try:
                return work(letters, settings)
            except BrokenPipeError:
                discard(sys.stdout)
                return 0

    return run_command(settings_class, f"{PROGRAM} {name}", with_letters, argv)


@contextmanager
def _letters(settings: RoleSettings) -> Iterator[DeadLetters]:
    client = connect(settings.redis)
    try:
        check(client, settings.redis)
        with explained(settings.redis):
            layout = read_layout(client, settings.prefix) or Layout()
            yield DeadLetters(client, [Keys(settings.prefix, p) for p in range(layout.streams)])
    finally:
        client.close()


def _list(letters: DeadLetters, settings: ListSettings) -> int:
    found: list[Row] = []
    for letter in letters.newest_first():
        if settings.limit is not None and len(found) == settings.limit:
            break
        if _matches(letter, reason=settings.reason, source=settings.source):
            found.append(Row.of(letter))
    found.reverse()
    if settings.format == "json":
        print_json(found, sys.stdout)
    elif found:
        print_table(found, sys.stdout)
    elif settings.reason or settings.source:
        print("No dead letters match.")
    else:
        print(f"No dead letters at {redacted(settings.redis)} with prefix {settings.prefix}.")
    return 0


def _show(letters: DeadLetters, settings: ShowSettings) -> int:
    letter = letters.find(settings.id)
    if letter is None:
        _complain(settings.id, "no such dead letter")
        return 1
    print_letter(letter, sys.stdout)
    image = letter.message().get("image")
    wanted = ((settings.save, letter.payload, "bytes"), (settings.image, image, "picture"))
    for path, data, what in wanted:
        if path is None:
            continue
        if not isinstance(data, bytes):
            _complain(letter.name, f"it has no {what} to save")
            return 1
        _write(path, data)
    return 0


def _requeue(letters: DeadLetters, settings: RequeueSettings) -> int:
    def put_back(letter: DeadLetter) -> str | None:
        if letter.payload is None:
            return "it has no bytes to put back"
        return None if letters.requeue(letter) else "not there any more"

    chosen = settings.id or _names(letters, reason=settings.reason)
    done, failed = _each(letters, chosen, put_back)
    print(f"{done:,} put back")
    return 1 if failed else 0


def _drop(letters: DeadLetters, settings: DropSettings) -> int:
    chosen = settings.id or _names(
        letters, reason=settings.reason, older_than_s=settings.older_than_s
    )
    if settings.all and chosen and not settings.yes and not _agreed(len(chosen)):
        print("nothing dropped")
        return 0
    done, failed = _each(
        letters, chosen, lambda letter: None if letters.drop(letter) else "not there any more"
    )
    print(f"{done:,} dropped")
    return 1 if failed else 0


def _matches(
    letter: DeadLetter,
    *,
    reason: str | None = None,
    source: str | None = None,
    older_than_s: float | None = None,
) -> bool:
    if reason is not None and letter.reason != reason:
        return False
    if older_than_s is not None and time.time_ns() - letter.at_ns <= older_than_s * 1e9:
        return False
    return source is None or (letter.frame_id() or ("",))[0] == source


def _names(
    letters: DeadLetters, *, reason: str | None, older_than_s: float | None = None
) -> list[str]:
    """Of all that match, oldest first. Only names: their bytes may be more than fit in memory, and
    what is put back may be buried again before the last one is looked at."""
    found = [
        letter.name
        for letter in letters.newest_first()
        if _matches(letter, reason=reason, older_than_s=older_than_s)
    ]
    return found[::-1]


def _each(
    letters: DeadLetters, chosen: Sequence[str], act: Callable[[DeadLetter], str | None]
) -> tuple[int, int]:
    """How many `act` did, and how many it could not, each with its complaint on stderr."""
    done = failed = 0
    for name in chosen:
        letter = letters.find(name)
        if complaint := "no such dead letter" if letter is None else act(letter):
            _complain(name, complaint)
            failed += 1
        else:
            done += 1
    return done, failed


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("--all: expected --yes, nobody is there to be asked")
    what = "1 dead letter" if count == 1 else f"{count:,} dead letters"
    return input(f"Throw {what} away for good? [y/N] ").strip().lower() in ("y", "yes")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    print(f"{len(data):,} bytes written to {path}")


def _complain(name: str, what: str) -> None:
    print(f"{PROGRAM}: {name}: {what}", file=sys.stderr)
