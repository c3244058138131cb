"""Frames that break the codec which decodes them, as a comment in their JPEG says."""

from __future__ import annotations

import os
import signal
from typing import Literal, get_args

How = Literal["raise", "kill", "exit"]
HOWS: tuple[How, ...] = get_args(How)
EXIT_CODE = 134  # what a shell says of a process that native code aborted

_MARK = b"poison:"


def poisoned(jpeg: bytes, how: How) -> bytes:
    """`jpeg` with a comment segment (ITU-T T.81, B.2.4.5) that names what it does to the codec."""
    comment = _MARK + how.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def swallow(jpeg: bytes) -> None:
    """What the codec does with `jpeg` before it decodes it: nothing, raise, or end the process."""
    if jpeg[6 : 6 + len(_MARK)] != _MARK:
        return
    length = int.from_bytes(jpeg[4:6], "big") - 2
    match jpeg[6 + len(_MARK) : 6 + length].decode():
        case "raise":
            raise RuntimeError("the codec says no")
        case "kill":  # as the kernel does when memory runs out
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(EXIT_CODE)
