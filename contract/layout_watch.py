"""The layout of a running system, which may be changed at any time."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING

from contract.connect import REFUSED
from contract.errors import BrokerError
from contract.partitions import Layout, read_layout, say_layout

if TYPE_CHECKING:
    import redis

# Not structlog: the reader is also used in programs that decide themselves where their log goes.
_log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class LayoutWatch:
    """Looks for the system's layout once a second, in a thread: the server that holds it may hang,
    and the other partitions are not to wait for that.

    client   may be shared; asked from that thread as well
    layout   what is known; partitions are added to it, and never go while the process lives
    says     say it again if Redis lost it: for roles that publish or settle frames

    A context manager, or `start` and `close`. A server that is away is no error here: whoever needs
    it will say so.
    """

    def __init__(
        self,
        client: redis.Redis,
        prefix: str,
        layout: Layout | None,
        *,
        says: bool,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self.prefix = prefix
        self._client = client
        self._layout = layout
        self._says = says
        self._every_s = every_s
        self._lock = threading.Lock()
        self._looked_s = -math.inf
        self._wakes = threading.Event()
        self._closed = threading.Event()
        self._said_wrong = False
        self._thread = threading.Thread(target=self._run, name="layout", daemon=True)

    def __enter__(self) -> LayoutWatch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def close(self) -> None:
        """Look no more. A look that hangs is not waited for."""
        self._closed.set()
        self._wakes.set()

    def look_soon(self) -> None:
        """Let the thread look now; `looked_s` says when it has."""
        self._wakes.set()

    @property
    def looked_s(self) -> float:
        """When the newest look began that was answered, monotonic: all that was said before it is
        in `layout`. Ask for this one first."""
        return self._looked_s

    @property
    def layout(self) -> Layout:
        """The newest that is known; of a system that nobody has begun, one partition."""
        return self._layout or Layout()

    def look(self) -> Layout:
        """Ask now. Raises redis's own errors, and `BrokerError`."""
        began_s = time.monotonic()
        if self._says:
            found: Layout | None = say_layout(self._client, self.prefix, self.layout)
        else:
            found = read_layout(self._client, self.prefix)
        with self._lock:
            if began_s < self._looked_s:
                return self.layout  # one that was asked later was answered sooner
            before = self._layout
            if found is not None and before is not None:
                found = before.followed_by(found)
            if found is not None and found != before:  # the same one stays the same object
                self._layout = found
            self._looked_s = began_s
            if found and before and found.partitions != before.partitions:
                _log.warning(
                    "partitions of the system: %d from now on, before %d",
                    found.partitions,
                    before.partitions,
                )
            return self.layout

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wakes.wait(self._every_s)
            self._wakes.clear()
            if self._closed.is_set():
                return
            try:
                self.look()
            except REFUSED:
                continue
            except BrokerError as error:
                if not self._said_wrong:
                    _log.warning("%s", error)
                self._said_wrong = True
            except Exception as error:
                if self._closed.is_set():
                    return  # the client was closed under it
                if not self._said_wrong:
                    _log.warning("partitions of the system not read", exc_info=error)
                self._said_wrong = True
            else:
                self._said_wrong = False
