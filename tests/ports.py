"""Ports that nobody listens on, for servers of tests that run beside each other."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_port() -> int:
    """One from the kernel: two tests that look upwards from the same number find the same."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many different ones."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_udp_port() -> int:
    """One that no datagram socket has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
