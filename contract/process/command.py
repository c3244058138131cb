"""What every command does around its own work: settings in, logs on, one line and a code out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from contract.errors import EmotionStreamError, UsageError
from contract.process.logs import configure_logs
from contract.process.settings import ProcessSettings, read_settings
from contract.redact import without_secrets

S = TypeVar("S", bound=ProcessSettings)
_OURS = frozenset({"contract", "producer", "worker", "consumer", "trainer", "deploy"})


@contextmanager
def explained_if_missing(program: str, extra: str) -> Iterator[None]:
    """Turn an import that fails because the role's extra is not installed into one line.

    Every role comes in one distribution, its libraries do not: a consumer needs no TensorFlow.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OURS:
            raise
        print(
            f"{program}: needs {missing}, which is not installed: "
            f"pip install 'emotion-stream[{extra}]'",
            file=sys.stderr,
        )
        raise SystemExit(UsageError.exit_code) from None


def run_command(
    settings_class: type[S],
    program: str,
    work: Callable[[S], int],
    argv: Sequence[str] | None = None,
) -> int:
    """Read the settings, do `work`, return its exit code.

    An `EmotionStreamError` becomes its message on stderr and its exit code; any other exception is
    a bug and keeps its traceback.
    """
    try:
        settings = read_settings(settings_class, program, argv)
        configure_logs(program.removeprefix("emotion-"), settings.log_level, settings.log_format)
        return work(settings)
    except EmotionStreamError as error:
        print(f"{program}: {without_secrets(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:  # before the role listens to signals itself: nothing is in hand yet
        return 130
    except BrokenPipeError:  # `emotion-events | head`: the reader has what it wanted
        sys.stderr.close()
        return 0
