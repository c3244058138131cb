"""Every error this system raises on purpose.

::

    EmotionStreamError
    ├── UsageError             a flag, a URL or a file the user gave cannot be used (exit code 2)
    │   ├── SourceError        a video source cannot be opened or is not a video
    │   ├── ArtifactError      a model file is missing, or does not match its manifest
    │   ├── PackError          a training pack is missing, damaged, or cannot be written
    │   └── SessionError       a recorded session is missing, damaged or of another version
    ├── DecodeError            bytes from the wire are not the message they should be
    ├── EncodeError            a message breaks a limit of the wire, so it is not sent
    ├── BrokerError            Redis does not answer, refuses us, or lost its data
    │   ├── BrokerUnavailable  no answer within the time allowed
    │   ├── AccessDenied       wrong password, no rights, untrusted certificate (exit code 2)
    │   ├── Superseded         another producer opened this source: one camera, one producer
    │   └── FenceLost          Redis no longer knows this session: open a new one
    ├── WorkersMissing         the stream stayed full: nobody took a frame for too long
    ├── SinkFailed             a destination of events does not take one; the others go on
    ├── DeviceFailed           nothing can be analysed any more; the process must end
    └── EventsMissed           events were trimmed before this reader saw them

A command prints the message of an `EmotionStreamError` as one line and ends with its `exit_code`;
any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations


class EmotionStreamError(Exception):
    """Root of the tree. `exit_code` is what a command ends with when this error reaches it."""

    exit_code = 1


class UsageError(EmotionStreamError):
    """Something the user gave cannot be used."""

    exit_code = 2


class SourceError(UsageError):
    """A video source cannot be opened or read. The message names the source."""


class ArtifactError(UsageError):
    """A model artifact is missing, damaged, or not what its manifest says. Names the file."""


class PackError(UsageError):
    """A training pack is missing, damaged, of another version or cannot be written. Names it."""


class SessionError(UsageError):
    """A recorded session is missing, damaged, of another version or cannot be written. Names it."""


class DecodeError(EmotionStreamError):
    """Bytes from the wire are not a message of this contract.

    `reason` is a short stable word for counters and dead letters (`"version"`, `"oversized"`,
    `"malformed"`, `"image"`, `"missing"`); the text says what was expected and what came.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class EncodeError(EmotionStreamError):
    """A message breaks a limit of the wire and is refused before it is sent."""


class BrokerError(EmotionStreamError):
    """Redis refused a command or is in a state this system cannot work with."""


class BrokerUnavailable(BrokerError):
    """Redis did not answer within the time allowed."""


class AccessDenied(BrokerError):
    """Redis won't have the credentials given, or its certificate is not one we trust."""

    exit_code = UsageError.exit_code


class Superseded(BrokerError):
    """Another producer opened a session on this source; this one must stop publishing."""


class FenceLost(BrokerError):
    """Redis has no session for this source (it lost its data): open a new session."""


class WorkersMissing(EmotionStreamError):
    """No worker made room in the full stream within the time allowed. Names the source."""


class SinkFailed(EmotionStreamError):
    """A destination could not be written to; the message says which and why."""


class DeviceFailed(EmotionStreamError):
    """The device fails on any input: the process must end, or it would blame every frame."""


class EventsMissed(EmotionStreamError):
    """`count` events left the stream before this reader saw them; at least one if unknown."""

    def __init__(self, count: int) -> None:
        events = "1 event was" if count == 1 else f"{count:,} events were"
        super().__init__(f"{events} trimmed from the stream before being read")
        self.count = count
