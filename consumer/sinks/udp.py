"""Datagrams to one host: sending never waits, and failing is counted."""

from __future__ import annotations

import errno
import logging
import re
import socket
from dataclasses import dataclass

from contract.errors import UsageError

_log = logging.getLogger(__name__)

BACK_S = 3.0  # Linux answers a refused datagram from afar once a second at most

_ADDRESS = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^\[\]:]+)):(?P<port>[0-9]{1,5})")
_FULL = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)


@dataclass(frozen=True, slots=True)
class UdpAddress:
    """Where datagrams go: a name, an IPv4, IPv6, broadcast or multicast address, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, flag: str = "--osc") -> UdpAddress:
        """``HOST:PORT`` or ``[IPv6]:PORT``. Raises `UsageError` naming `flag`."""
        match = _ADDRESS.fullmatch(text.strip())
        if match is None or not 0 < int(match["port"]) < 65_536:
            raise UsageError(
                f"{flag} {text}: expected HOST:PORT or [IPv6]:PORT, with a port of 1 to 65535"
            )
        return cls(match["six"] or match["host"], int(match["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UdpSender:
    """Sends to one address, which is resolved once, at the start; IPv4 where a name has both.

    What cannot be sent is counted in `lost` by reason and told in the log once, and again when it
    works again: ``refused`` (the host says nobody listens), ``full`` (the network does not keep
    up), ``failed`` (no route, no network). Nothing of this is raised. That nobody listens is known
    from the answer to an earlier datagram, if the host answers at all.

    Raises `UsageError` naming `flag` when the host is not found.
    """

    def __init__(self, address: UdpAddress, flag: str = "--osc") -> None:
        self.address = address
        self.sent = 0
        self.lost = {"refused": 0, "full": 0, "failed": 0}
        self._family, self._at = _resolve(address, flag)
        self._socket: socket.socket | None = None
        self._trouble: str | None = None
        self._trouble_s = 0.0

    def send(self, datagram: bytes, now_s: float) -> None:
        """Send or count it as lost; never raises and never waits."""
        try:
            sending = self._socket or self._open()
            try:
                sending.send(datagram)
            except ConnectionRefusedError as error:
                # It tells of an earlier one; this one has not been sent.
                self._lose("refused", error, now_s)
                sending.send(datagram)
        except OSError as error:
            reason = "refused" if isinstance(error, ConnectionRefusedError) else "failed"
            self._lose("full" if error.errno in _FULL else reason, error, now_s)
            if reason == "failed" and error.errno not in _FULL:
                self._close()  # bound to an address that this machine may not have any more
            return
        self.sent += 1
        if self._trouble is not None and now_s - self._trouble_s >= BACK_S:
            _log.info("osc %s: takes what is sent again", self.address)
            self._trouble = None

    def close(self) -> None:
        """Close the socket, and say what was lost."""
        self._close()
        if sum(self.lost.values()):
            told = ", ".join(f"{count} {reason}" for reason, count in self.lost.items() if count)
            _log.warning("osc %s: %d bundles sent; not arrived: %s", self.address, self.sent, told)

    def _open(self) -> socket.socket:
        opened = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            if self._family == socket.AF_INET:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            opened.connect(self._at)  # only a connected one is told that nobody listens
        except OSError:
            opened.close()
            raise
        self._socket = opened
        return opened

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _lose(self, reason: str, error: OSError, now_s: float) -> None:
        self.lost[reason] += 1
        if self._trouble != reason:
            why = "nobody listens there" if reason == "refused" else error.strerror or str(error)
            _log.warning("osc %s: %s; sending goes on", self.address, why)
            self._trouble = reason
        self._trouble_s = now_s


def _resolve(
    address: UdpAddress, flag: str
) -> tuple[int, tuple[str, int] | tuple[str, int, int, int]]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:  # a label of more than 63 characters is the latter
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{flag} {address}: host not found: {why}") from error
    # Receivers of OSC listen on IPv4, most of them on nothing else.
    family, _, _, _, at = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, at  # type: ignore[return-value]
