"""A small TCP proxy on the wire to Redis that cuts connections and eats replies."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, get_args

WireFault = Literal["cut", "eat reply", "half a request", "stall"]
WIRE_FAULTS: tuple[WireFault, ...] = get_args(WireFault)

_CHUNK_BYTES = 256 * 1024


class _Link:
    """One client's connection, and what is to happen to it next."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.armed: WireFault | None = None
        self.flows = asyncio.Event()
        self.flows.set()

    def close(self) -> None:
        self.flows.set()
        for writer in (self.client, self.server):
            with suppress(Exception):
                writer.transport.abort()


class FaultyProxy:
    """Listens on a port of its own and passes everything on to `port`; a context manager.

    It runs in a thread; `hurt` may be called from any other. What it does to a connection:

    cut              closed at once, whatever is under way
    eat reply        the next request reaches the server, its reply never comes, then closed
    half a request   half of the next piece of a request reaches the server, then closed
    stall            nothing passes in either direction for `stall_s`, then everything does
    """

    def __init__(self, port: int, *, stall_s: float = 2.0) -> None:
        self._upstream_port = port
        self._stall_s = stall_s
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        self.port = self._call(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def hurt(self, fault: WireFault, dice: random.Random) -> None:
        """Let `fault` happen to one of the open connections; to none if there is none."""
        self._call(self._hurt(fault, dice))

    def hurt_all(self, fault: WireFault) -> None:
        """Let `fault` happen to all open connections."""
        self._call(self._hurt(fault, None))

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, limit=_CHUNK_BYTES
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hurt(self, fault: WireFault, dice: random.Random | None) -> None:
        links = [link for link in self._links if link.armed is None and link.flows.is_set()]
        for link in [dice.choice(links)] if dice and links else links:
            if fault == "cut":
                link.close()
            elif fault == "stall":
                link.flows.clear()
                self._loop.call_later(self._stall_s, link.flows.set)
            else:
                link.armed = fault

    async def _connected(
        self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        try:
            server_reader, server = await asyncio.open_connection(
                "127.0.0.1", self._upstream_port, limit=_CHUNK_BYTES
            )
        except OSError:  # the server is being restarted
            client.transport.abort()
            return
        link = _Link(client, server)
        self._links.add(link)
        pumps = [
            asyncio.ensure_future(self._requests(client_reader, link)),
            asyncio.ensure_future(self._replies(server_reader, link)),
        ]
        self._tasks.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            link.close()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._tasks.difference_update(pumps)

    async def _requests(self, reader: asyncio.StreamReader, link: _Link) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await link.flows.wait()
            if link.armed == "half a request":
                link.server.write(data[: len(data) // 2])
                await link.server.drain()
                return
            link.server.write(data)
            await link.server.drain()

    async def _replies(self, reader: asyncio.StreamReader, link: _Link) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await link.flows.wait()
            if link.armed == "eat reply":
                return
            link.client.write(data)
            await link.client.drain()
