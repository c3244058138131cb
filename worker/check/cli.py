"""`emotion-worker check`: settings in, a table out, exit code out."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

from contract.connect import check, connect
from contract.console import discard
from contract.errors import EmotionStreamError, UsageError
from contract.keys import Keys
from contract.partitions import Layout
from contract.process.command import run_command
from contract.process.logs import native_output_to_debug
from worker.check.rights import MAKE_USERS, look_at_rights
from worker.check.row import Row, failed, not_tried, tried, warning
from worker.check.server import LOOKS, Server
from worker.check.settings import CheckSettings
from worker.check.system import known_layout, look_at_partitions
from worker.check.table import print_json, print_table
from worker.cli import set_library_limits

_OF_SYSTEM = ("rights", "partitions")
_CORRECT = "correct --redis, --redis-file, EMOTION_REDIS, EMOTION_REDIS_FILE"
_REACH = f"start it, or {_CORRECT}"
_ASK = "let this user give the command INFO, or ask Redis yourself"
_LOOK = "look at these keys with redis-cli; another --prefix begins a new system"
_MODEL = (
    "--model takes NAME.keras with its NAME.json beside it, as emotion-trainer export makes them"
)
_ENGINE = "--engine auto --precision auto takes the fastest that is here"
_GPU = "look at the driver: nvidia-smi"


def main(argv: Sequence[str]) -> int:
    """Run the command on what follows `emotion-worker check`; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # labels, whatever the locale says
    return run_command(CheckSettings, "emotion-worker check", _check, argv)


def _check(settings: CheckSettings) -> int:
    rows = [*_rows_of_redis(settings), *_rows_of_networks(settings)]
    try:
        (print_json if settings.as_json else print_table)(rows, sys.stdout)
    except BrokenPipeError:
        discard(sys.stdout)
    return max(row.exit_code for row in rows)


def _rows_of_redis(settings: CheckSettings) -> Iterator[Row]:
    url, prefix = settings.redis, settings.prefix
    with ExitStack() as stack:
        try:
            client = connect(url, retries=0)
            stack.callback(client.close)
            check(client, url)
        except EmotionStreamError as error:
            yield failed(
                "redis", error, _CORRECT if error.exit_code == UsageError.exit_code else _REACH
            )
            yield from (not_tried(name, "no Redis to ask") for name in (*LOOKS, *_OF_SYSTEM))
            return
        try:
            server = Server.read(client, url)
        except EmotionStreamError as error:
            yield warning("redis", str(error), _ASK)
            yield from (not_tried(name, "Redis does not say") for name in LOOKS)
        else:
            yield tried("redis", server.reached, _REACH)
            for name, look in LOOKS.items():
                yield tried(name, partial(look, server), _ASK)
        layout = Layout(settings.partitions or 1)
        with suppress(EmotionStreamError):  # the last row says it
            layout = known_layout(client, url, prefix) or layout
        keys = [Keys(prefix, place) for place in range(layout.streams)]
        yield tried("rights", partial(look_at_rights, client, url, keys), MAKE_USERS)
        look = partial(look_at_partitions, client, url, prefix, settings.partitions)
        yield tried("partitions", look, _LOOK)


def _rows_of_networks(settings: CheckSettings) -> list[Row]:
    set_library_limits()
    # Only here: OpenCV and the like take longer to import than --help may.
    from worker.assemble import build_analyser
    from worker.check.device import look_at_engine, look_at_gpu
    from worker.check.model import look_at_model
    from worker.check.picture import look_at_picture
    from worker.engines.choose import Choice, choose_engine

    chosen: list[Choice] = []
    began_s = time.monotonic()

    def engine() -> Row:
        chosen.append(
            choose_engine(
                settings.engine, settings.precision, threads=settings.threads, cache=settings.cache
            )
        )
        return look_at_engine(chosen[0], settings)

    def picture() -> Row:
        with ThreadPoolExecutor(settings.decoders, "decode") as decoders:
            analyser, _ = build_analyser(settings, decoders, lambda *_: None, chosen[0])
            start_s = time.monotonic() - began_s
            return look_at_picture(analyser, start_s, settings.threshold)

    with native_output_to_debug():
        rows = [tried("model", partial(look_at_model, settings.model), _MODEL)]
        has_model = rows[0].status != "failed"
        began_s = time.monotonic()
        rows.append(tried("engine", engine, _ENGINE))
        choice = chosen[0] if chosen else None
        rows.append(tried("gpu", lambda: look_at_gpu(choice, settings), _GPU))
        if choice is None or not has_model:
            what = "model" if choice is not None else "engine"
            rows.append(not_tried("picture", f"no {what} to look at it with"))
        else:
            rows.append(tried("picture", picture, _ENGINE))
    return rows
