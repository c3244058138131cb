"""OSC to receivers no one here wrote: liblo's oscdump, python-osc's server."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_server import BlockingOSCUDPServer

from consumer.play import Play
from consumer.settings import EventsSettings
from consumer.sinks.fan_out import FanOut
from consumer.sinks.osc import OscSink
from consumer.sinks.osc_packet import time_tag
from consumer.sinks.playout import Playout
from consumer.sinks.priority import go_first
from consumer.sinks.udp import UdpAddress, UdpSender
from contract.errors import UsageError
from contract.event import Box, EmotionEvent, FaceEmotion, SourceRecord
from contract.smoothed import Signal
from tests.conftest import optional_tool
from tests.ports import free_udp_port
from tests.signals import at, event, person, record, transition

_SIGNALS: list[Signal] = [
    record(0.0, "started", source="카메라"),
    transition(0.04, source="카메라"),
    event(0.04, person(1, 0.25), source="카메라"),
    event(0.14, person(1, 0.75), source="카메라"),
    transition(0.24, "person_left", source="카메라"),
    record(0.24, "ended", source="카메라"),
]


class Oscdump:
    """oscdump at work: `lines` grows as datagrams come."""

    def __init__(self, port: int, file: Path) -> None:
        program = optional_tool("oscdump (Debian package liblo-tools)", shutil.which("oscdump"))
        self._file = file
        with file.open("wb") as out:
            self._process = subprocess.Popen([program, "-L", str(port)], stdout=out)

    @property
    def lines(self) -> list[str]:
        return self._file.read_text("utf-8").splitlines()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@contextmanager
def _oscdump(port: int, file: Path, wait_until: Callable[..., None]) -> Iterator[Oscdump]:
    dump = Oscdump(port, file)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:

            def hears() -> bool:
                probe.sendto(b"/hello\0\0,\0\0\0", ("127.0.0.1", port))
                return bool(dump.lines)

            wait_until(hears, what="oscdump listens")
        yield dump
    finally:
        dump.stop()


def _play(sink: OscSink, signals: list[Signal]) -> None:
    """By a clock of its own, which is that of the captures."""
    for signal in signals:
        now_s = (getattr(signal, "captured_at_ns", None) or signal.at_ns) / 1e9  # type: ignore[union-attr]
        while (due_s := sink.due_s()) is not None and due_s <= now_s:
            sink.tick(due_s)
        sink.write(signal, now_s)
    while (due_s := sink.due_s()) is not None:
        sink.tick(due_s)
    sink.close()


def test_oscdump_understands_addresses_types_values_and_time_tags(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    port = free_udp_port()
    with _oscdump(port, tmp_path / "dump", wait_until) as dump:
        sink = OscSink([UdpAddress("127.0.0.1", port)], Playout(10.0, delay_s=0.2))
        _play(sink, _SIGNALS)
        wait_until(lambda: any('"ended"' in line for line in dump.lines), what="the end")
        lines = [line for line in dump.lines if "/hello" not in line]
    tagged = [line.split(" ", 1) for line in lines]
    assert [text for _, text in tagged if "/va" in text or "/people" in text] == [
        "/emotion/카메라/1/va ff 0.445500 0.280500",  # 0.55 happy: six tenths on the way
        "/emotion/카메라/people i 1",
        "/emotion/카메라/room/va ff 0.445500 0.280500",
        "/emotion/카메라/1/va ff 0.607500 0.382500",
        "/emotion/카메라/people i 1",
        "/emotion/카메라/room/va ff 0.607500 0.382500",
        "/emotion/카메라/people i 0",
    ]
    assert [text for _, text in tagged if "/va" not in text and "/people" not in text] == [
        '/emotion/카메라/state s "started"',
        "/emotion/카메라/1/entered ",
        '/emotion/카메라/labels ss "neutral" "happiness"',
        '/emotion/카메라/1/label s "happiness"',
        "/emotion/카메라/1/weights ff 0.450000 0.550000",
        "/emotion/카메라/1/weights ff 0.250000 0.750000",
        "/emotion/카메라/1/left ",
        '/emotion/카메라/state s "ended"',
    ]
    tags = [f"{tag.hex()[:8]}.{tag.hex()[8:]}" for tag in map(time_tag, map(at, (0.1, 0.2, 0.3)))]
    assert [tag for tag, text in tagged if text.split()[0].endswith("/people")] == tags


def test_pythonosc_receives_a_crowd_over_ipv6(wait_until: Callable[..., None]) -> None:
    heard: list[tuple[str, tuple[object, ...]]] = []
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(lambda address, *arguments: heard.append((address, arguments)))
    try:
        server = BlockingOSCUDPServer(("::1", 0), dispatcher, family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"needs IPv6: {error}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = UdpAddress.parse(f"[::1]:{server.server_address[1]}")
        sink = OscSink([address], Playout(0.0), by="voice")
        crowd = [person(track, 0.5, voice=track - 10) for track in range(11, 111)]
        sink.write(event(0.0, *crowd), 0.0)
        wait_until(lambda: len(heard) == 1 + 3 * 100 + 2, what="everybody")
        assert sink.sent > 5
        assert sink.lost == 0
        crowd_heard = list(heard)
        sink.close()
        wait_until(lambda: heard[-1] == ("/emotion/lobby/people", (0,)), what="the end")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert heard[0] == ("/emotion/lobby/labels", ("neutral", "happiness"))
    assert ("/emotion/lobby/100/weights", (0.5, 0.5)) in heard
    assert crowd_heard[-2] == ("/emotion/lobby/people", (100,))
    assert ("/emotion/lobby/100/left", ()) in heard


def test_a_fan_out_plays_by_the_clock(wait_until: Callable[..., None]) -> None:
    with _receiver() as receiver:
        port = receiver.getsockname()[1]
        sink = OscSink([UdpAddress("127.0.0.1", port)], Playout(50.0), first=True)
        with FanOut([sink]) as fan_out:
            begun_s = time.monotonic()
            for n in range(30):
                fan_out.put([event(n / 60, person(happiness=n / 30))], begun_s + n / 60)
            wait_until(lambda: sink.sent >= 10, what="ten ticks")
            fan_out.put([record(0.5, "ended")], time.monotonic())
        assert fan_out.lost == {sink.name: 0}
        assert not _is_real_time()  # the sink's own thread alone
        heard = [OscBundle(receiver.recv(2000)) for _ in range(sink.sent)]
    tags = [round(bundle.timestamp * 1000) for bundle in heard]
    assert all(tag % 20 == 0 for tag in tags[:-1])
    assert all(before <= after for before, after in itertools.pairwise(tags))
    assert [content.address for content in heard[-1]][-1] == "/emotion/lobby/state"


def test_the_thread_that_plays_goes_first_where_it_may() -> None:
    seen: list[tuple[bool, bool]] = []
    thread = threading.Thread(target=lambda: seen.append((go_first(), _is_real_time())))
    thread.start()
    thread.join()
    ((granted, is_real_time),) = seen
    assert granted == is_real_time
    if sys.platform == "linux" and os.geteuid() == 0:
        assert granted or os.environ.get("CI")  # a container may keep it even from root
    assert not _is_real_time()


def _is_real_time() -> bool:
    """Whether this thread is."""
    if sys.platform != "linux":
        return False
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR


def test_several_hosts_hear_the_same() -> None:
    with _receiver() as first, _receiver() as second:
        hosts = [UdpAddress("127.0.0.1", each.getsockname()[1]) for each in (first, second)]
        sink = OscSink(hosts, Playout(0.0))
        sink.write(event(0.0, person()), 0.0)
        assert first.recv(2000) == second.recv(2000)
        sink.close()


def test_nobody_listens_and_then_somebody_does(
    caplog: pytest.LogCaptureFixture, wait_until: Callable[..., None]
) -> None:
    port = free_udp_port()
    sender = UdpSender(UdpAddress("127.0.0.1", port))
    now_s = 100.0

    def refused() -> bool:
        sender.send(b"/a\0\0,\0\0\0", now_s)
        return sender.lost["refused"] >= 5

    with caplog.at_level(logging.INFO):
        wait_until(refused, what="five refusals")
        assert [record.getMessage() for record in caplog.records] == [
            f"osc 127.0.0.1:{port}: nobody listens there; sending goes on"
        ]
        with _receiver(port) as receiver:

            def arrives() -> bool:
                sender.send(b"/a\0\0,\0\0\0", now_s)
                return bool(receiver.recv(100))

            wait_until(arrives, what="a datagram")
            sender.send(b"/a\0\0,\0\0\0", now_s + 10.0)
        assert caplog.records[-1].getMessage() == f"osc 127.0.0.1:{port}: takes what is sent again"
        sender.close()
    assert "refused" in caplog.records[-1].getMessage()


def test_a_broadcast_address_is_allowed() -> None:
    with _receiver(host="0.0.0.0") as receiver:
        sender = UdpSender(UdpAddress("127.255.255.255", receiver.getsockname()[1]))
        sender.send(b"/a\0\0,\0\0\0", 0.0)
        assert sender.lost == {"refused": 0, "full": 0, "failed": 0}
        assert receiver.recv(100) == b"/a\0\0,\0\0\0"
        sender.close()


def test_no_way_to_a_host_is_counted_and_sending_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    sender = UdpSender(UdpAddress("127.0.0.1", free_udp_port()))
    for _ in range(3):
        sender.send(b"x" * 70_000, 0.0)  # no datagram is that long
    assert sender.lost["failed"] == 3
    assert len(caplog.records) == 1
    sender.close()


def test_a_host_that_does_not_resolve_is_the_users_error() -> None:
    with pytest.raises(UsageError, match=r"^--osc nowhere\.invalid:9000: host not found: ."):
        OscSink([UdpAddress("nowhere.invalid", 9000)], Playout())
    with pytest.raises(UsageError, match="host not found"):
        UdpSender(UdpAddress("x" * 64 + ".invalid", 9000))


@contextmanager
def _receiver(port: int = 0, host: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((host, port))
        receiver.settimeout(10)
        yield receiver


def test_every_flag_of_osc_arrives() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        settings = EventsSettings.model_validate(
            {
                "osc": [f"127.0.0.1:{receiver.getsockname()[1]}"],
                "osc_by": "voice",
                "range": "0..1",
                "rate": 0,
                "smoothing": 0,
            }
        )
        scores = {"happiness": 0.0, "anger": 1.0}
        face = FaceEmotion(Box(100, 50, 190, 160), 0.99, "anger", scores, -0.5, 0.6, 0.1)
        with Play(settings, "redis://127.0.0.1:1", "p") as play:
            for session, start_s in (("a", 0.0), ("b", 10.0)):  # the same place, somebody else
                play.put(SourceRecord("hall", session, "started", at(start_s)), start_s)
                for seq in range(4):
                    at_ns = at(start_s + seq / 10)
                    seen = EmotionEvent(
                        "hall", session, seq, at_ns, None, at_ns, 640, 480, "m", (face,)
                    )
                    play.put(seen, start_s + seq / 10)
                play.put(SourceRecord("hall", session, "offline", at_ns, 4), start_s + 0.4)
        told: dict[str, list[object]] = {}
        offline = 0
        while offline < 2:
            for message in OscBundle(receiver.recv(65_536)):
                told[message.address] = list(message.params)
                offline += list(message.params) == ["offline"]
    assert told["/emotion/hall/1/va"] == [pytest.approx(0.245), pytest.approx(0.795)]
    assert not any(address.startswith("/emotion/hall/2") for address in told)
