"""Structured logs on stderr: readable on a terminal, JSON lines otherwise."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from contract.connect import redacted


def configure_logs(role: str, level: str = "info", style: str = "auto") -> None:
    """Set up structlog for this process; every line carries `role`.

    `style` is "pretty", "json" or "auto" (pretty if stderr is a terminal). Standard library
    loggers (redis, PyAV) keep to warnings and come out in the same format.
    """
    pretty = style == "pretty" or (style == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact_urls,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if pretty
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    tail = [renderer] if pretty else [structlog.processors.dict_tracebacks, renderer]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    structlog.contextvars.bind_contextvars(role=role)


@contextmanager
def native_output_to_debug() -> Iterator[None]:
    """Turn what libraries write to stderr past Python into debug lines, during the block.

    TensorFlow announces its CPU features there at every start, whatever its settings say. Should
    the block raise, the captured text goes to stderr after all: it may say why.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            captured.seek(0)
            os.write(2, captured.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
        captured.seek(0)
        text = captured.read().decode(errors="replace")
    if text:
        structlog.get_logger().debug("native output", text=text)


def _redact_urls(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A URL can hold a camera's password: none leaves this process whole."""
    for key, value in event.items():
        if isinstance(value, str) and "://" in value:
            event[key] = " ".join(
                redacted(word) if "://" in word else word for word in value.split(" ")
            )
    return event
