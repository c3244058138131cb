"""Structured logs on stderr: readable on a terminal, JSON lines otherwise."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from traceback import format_exception
from types import TracebackType
from typing import Any

import structlog

from contract.redact import without_secrets


def configure_logs(role: str, level: str = "info", style: str = "auto") -> None:
    """Set up structlog for this process; every line carries `role`.

    `style` is "pretty", "json" or "auto" (pretty if stderr is a terminal). Standard library
    loggers (redis, PyAV) keep to warnings and come out in the same format. Tracebacks show no
    local variables, and a URL, which can hold a camera's password, never comes out whole.
    """

    def with_role(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> Any:
        return {**line, "role": role}  # not a context variable: new threads have none

    pretty = style == "pretty" or (style == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        with_role,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    tail: list[Any] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
            lambda _logger, _method, line: without_secrets(line),
        ]
        if pretty
        else [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            _redact_values,  # before they are JSON, whose escapes hide where a URL ends
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    )
    stderr: Any = _Stderr()
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stderr),
        cache_logger_on_first_use=False,  # no line comes often enough to be worth a stale logger
    )
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    sys.excepthook = _show_bug


def _show_bug(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Python's own traceback, without the passwords in it."""
    print(
        without_secrets("".join(format_exception(kind, error, traceback))), end="", file=sys.stderr
    )


class _Stderr:
    """Whatever `sys.stderr` is at the time of the call: it can be replaced, and closed, after a
    logger was made.
    """

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _redact_values(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    return {key: _redacted_value(value) for key, value in event.items()}


def _redacted_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _redacted_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted_value(item) for item in value]
    return without_secrets(value if isinstance(value, str) else repr(value))


# What TensorFlow writes at every start, whatever its settings say, with nothing being wrong. Lines
# that match are withheld; a line that is not known here is always shown.
_NOISE = "|".join(
    (
        "All log messages before absl::InitializeLog",
        r"port\.cc:\d+\] oneDNN custom operations are on",
        r"cudart_stub\.cc:\d+\] Could not find cuda drivers",
        r"cuda_platform\.cc:\d+\] failed call to cuInit: .*303",  # no driver: the line above
        r"cpu_feature_guard\.cc:\d+\] This TensorFlow binary is optimized",
        "To enable the following instructions: .* rebuild TensorFlow",
        r"Unable to register cu(FFT|DNN|BLAS) factory",
        r"computation_placer\.cc:\d+\] computation placer already registered",
        "TF-TRT Warning: Could not find TensorRT",
    )
)

# Reads stdin until every writer is gone, shows each line at once or withholds it, and hands what
# it withheld to stdout.
_PUMP = """
import os, re, sys
noise, withheld, shown = re.compile(sys.argv[1].encode()), [], sys.stderr.buffer
for line in sys.stdin.buffer:
    if noise.search(line):
        withheld.append(line)
    else:
        shown.write(line)
        shown.flush()
try:
    sys.stdout.buffer.write(b"".join(withheld))
    sys.stdout.flush()
except BrokenPipeError:  # our process was aborted
    os._exit(0)
"""
_PUMP_END_S = 5.0


@contextmanager
def native_output_to_debug() -> Iterator[None]:
    """Turn the noise libraries write to stderr past Python into debug lines, during the block.

    Everything else passes at once, line by line. The filter is a small process of its own (10 ms
    to start): only that still shows the last words of a process that native code aborts, which a
    thread or a file would take along.
    """
    sys.stderr.flush()
    try:
        # A session of its own: Ctrl-C is for us, and what we say about it passes through the pump.
        pump = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PUMP, _NOISE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError:  # no more processes allowed: noise is no reason not to start
        yield
        return
    assert pump.stdin and pump.stdout
    shown = os.dup(2)
    os.dup2(pump.stdin.fileno(), 2)
    pump.stdin.close()
    pump.stdin = None
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(shown, 2)  # closes our last end of the pipe, and so ends the pump
        os.close(shown)
        try:
            withheld, _ = pump.communicate(timeout=_PUMP_END_S)
        except subprocess.TimeoutExpired:  # a child we started in the block still writes to it
            withheld = b""
            pump.stdout.close()
            threading.Thread(target=pump.wait, name="pump", daemon=True).start()
    if withheld:
        structlog.get_logger().debug("native output", text=withheld.decode(errors="replace"))
