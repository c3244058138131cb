"""`emotion-worker partitions`: settings in, the number changed or shown, exit code out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from contract.connect import check, connect, explained
from contract.console import LastingConsole, discard
from contract.errors import EmotionStreamError
from contract.partitions import change_layout
from contract.process.command import run_command
from contract.redact import redacted
from worker.repartition.settings import PartitionsSettings
from worker.repartition.spread import Spread, read_spread
from worker.repartition.table import print_json, print_table, sentence

if TYPE_CHECKING:
    import redis

PROGRAM = "emotion-worker partitions"
_LOOK_EVERY_S = 0.5


class NotMoved(EmotionStreamError):
    """Sources are still where they were when the time was up; they go on moving."""


def main(argv: Sequence[str]) -> int:
    """Run the command on what follows `emotion-worker partitions`; returns its exit code."""
    return run_command(PartitionsSettings, PROGRAM, _work, argv)


def _work(settings: PartitionsSettings) -> int:
    client = connect(settings.redis)
    try:
        check(client, settings.redis)
        with explained(settings.redis):
            if settings.number is not None:
                change_layout(client, settings.prefix, settings.number)
            try:
                spread = _moved(client, settings)
            except KeyboardInterrupt:
                print(f"{PROGRAM}: the change stands; sources go on moving", file=sys.stderr)
                raise
    finally:
        client.close()
    try:
        if settings.format == "json":
            print_json(spread, sys.stdout)
        else:
            print_table(spread, sys.stdout)
    except BrokenPipeError:
        discard(sys.stdout)
    if settings.number is not None and settings.wait and not spread.is_settled:
        raise NotMoved(
            f"after {settings.timeout:g} s: {sentence(spread)} Are workers running at "
            f"{redacted(settings.redis)}, and all producers of this version? They go on moving; "
            f"look again with: {PROGRAM}"
        )
    return 0


def _moved(client: redis.Redis, settings: PartitionsSettings) -> Spread:
    """The spread once it is settled, or when nobody is to wait any longer."""
    spread = read_spread(client, settings.prefix)
    if settings.number is None or not settings.wait:
        return spread
    until_s = time.monotonic() + settings.timeout
    columns = (
        TextColumn("moving sources"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    console = LastingConsole(file=sys.stderr)
    with Progress(*columns, console=console, transient=True) as progress:
        total = max(1, len(spread.to_move))
        bar = progress.add_task("", total=total, left="")
        while not spread.is_settled and time.monotonic() < until_s:
            time.sleep(_LOOK_EVERY_S)
            spread = read_spread(client, settings.prefix)
            total = max(total, len(spread.to_move))
            left = f"{spread.left:,} frames left in old partitions" if spread.left else ""
            moved = total - len(spread.to_move)
            progress.update(bar, total=total, completed=moved, left=left)
    return spread
