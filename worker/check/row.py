"""What a check found: one row of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from contract.errors import EmotionStreamError

Status = Literal["ok", "warning", "failed", "not tried"]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at.

    said        what was found, in a sentence
    advice      what to do about it; empty where nothing is to be done
    exit_code   what the command ends with because of it, 0 unless it failed
    """

    name: str
    status: Status
    said: str
    advice: str = ""
    exit_code: int = 0


def ok(name: str, said: str) -> Row:
    return Row(name, "ok", said)


def warning(name: str, said: str, advice: str) -> Row:
    return Row(name, "warning", said, advice)


def failed(name: str, error: EmotionStreamError, advice: str) -> Row:
    return Row(name, "failed", str(error), advice, error.exit_code)


def not_tried(name: str, why: str) -> Row:
    return Row(name, "not tried", why)


def tried(name: str, look: Callable[[], Row], advice: str) -> Row:
    """The row of `look`; one that failed, with `advice`, whatever it raises: the others are to be
    seen as well."""
    try:
        return look()
    except EmotionStreamError as error:
        return failed(name, error, advice)
    except Exception as error:  # of a library, or a bug: the log has where
        structlog.get_logger().debug("check failed", check=name, exc_info=error)
        said = f"{type(error).__name__}: {error}"
        return Row(name, "failed", said, f"--log-level debug shows where; {advice}", 1)
