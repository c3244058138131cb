"""Prints what an open page of `emotion-view` costs: the workers in frames a second, and itself in
CPU.

    python -m tests.benchmarks.view [--seconds 5] [--rounds 12]

Workers: a worker on the shipped clip, which a producer sends as fast as it can, so that the worker
is always busy; the page is open every second time, and its client takes every state and every
picture. Core-milliseconds of worker and server hardly change when the machine is busy otherwise.
Its own CPU: sources of 30 frames/s with two faces, published at their pace with frames of the clip,
and a page open; in percent of one core.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import av
import cv2
import psutil

from contract.connect import connect
from contract.event import Box, EmotionEvent, FaceEmotion
from contract.frame import FrameMessage
from contract.keys import EVENTS, PARTITIONS, Keys, config_key
from tests.integration.pages import Page, get_frame
from tests.integration.processes import RoleProcess
from tests.integration.servers import TroubledServer

CLIP = Path(__file__).parents[2] / "deploy" / "demo" / "people.mp4"
KEYS = Keys()
FPS = 30.0
WARM_UP_S = 5.0


class Client:
    """What a browser does with a page: takes every state, and every new picture of every source.

    `pictures` and `bytes` count them.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.pictures = self.bytes = 0

    @contextmanager
    def open(self) -> Iterator[Client]:
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _look(self) -> None:
        seen: dict[str, str] = {}
        with Page(self._port) as page:
            while not self._stop.is_set() and (state := page.next()) is not None:
                for source in state["sources"]:
                    picture = source["picture"]
                    if picture and seen.get(source["name"]) != picture["id"]:
                        seen[source["name"]] = picture["id"]
                        self.pictures += 1
                        self.bytes += len(get_frame(self._port, picture["id"]).body)


def start_view(url: str) -> tuple[RoleProcess, int]:
    """A running `emotion-view` and its port."""
    role = RoleProcess("consumer.view", "--redis", url, "--port", "0")
    return role, int(role.log("ready")["url"].rstrip("/").rpartition(":")[2])


def measure_workers(folder: Path, seconds: float, rounds: int) -> None:
    """Frames a second of a worker that is always busy, with the page open and closed."""
    with TroubledServer("valkey", folder, "--appendonly", "no") as server:
        service = ("--redis", server.url)
        view, port = start_view(server.url)
        with (
            view,
            RoleProcess("worker", *service) as worker,
            RoleProcess("producer", str(CLIP), "--loop", "--no-realtime", *service),
        ):
            worker.log("ready", 120)
            time.sleep(WARM_UP_S)

            process = psutil.Process(worker.pid)

            def look() -> tuple[float, float, int]:
                times, info = process.cpu_times(), server.client.info("cpu")
                server_s = info["used_cpu_user"] + info["used_cpu_sys"]
                events = int(server.client.hget(KEYS.stats, EVENTS) or 0)
                return time.monotonic(), times.user + times.system + server_s, events

            def measure() -> tuple[float, float]:
                """Frames/s, and core-milliseconds a frame of worker and server together."""
                began = look()
                time.sleep(seconds)
                span_s, cpu_s, events = (
                    now - before for now, before in zip(look(), began, strict=True)
                )
                return events / span_s, 1000 * cpu_s / events

            closed, opened = [measure()], []
            for _ in range(rounds):
                with Client(port).open():
                    time.sleep(1.0)
                    opened.append(measure())
                closed.append(measure())
    for at, name in enumerate(("frames/s", "core-ms a frame")):
        without = [value[at] for value in closed]
        with_page = [value[at] for value in opened]
        # Each beside its neighbours: other work on the machine comes and goes.
        ratios = [
            2 * now / (before + after)
            for now, (before, after) in zip(with_page, pairwise(without), strict=True)
        ]
        print(
            f"{name}: page closed {statistics.median(without):.2f}, open "
            f"{statistics.median(with_page):.2f}; median of {rounds} ratios open / closed "
            f"{statistics.median(ratios):.3f}"
        )


def clip_jpegs() -> list[bytes]:
    """The clip's pictures as a producer sends them."""
    with av.open(str(CLIP)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]


def film(url: str, sources: int, jpegs: Sequence[bytes], stop: threading.Event) -> None:
    """Publish frames and their events at the pace of `sources` cameras; a frame leaves the stream
    when the next one of its source comes."""
    labels = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
    scores = dict.fromkeys(labels, 0.125)
    faces = tuple(
        FaceEmotion(Box(left, 100, left + 90, 210), 0.99, "neutral", scores, 0.1, 0.1, 20.0)
        for left in (100, 400)
    )
    with connect(url) as client:
        client.hset(config_key("emotion"), PARTITIONS, "1")
        entries: dict[int, bytes] = {}
        begin_s = time.monotonic()
        for turn in itertools.count():
            seq, number = divmod(turn, sources)
            if stop.wait(max(0.0, begin_s + turn / sources / FPS - time.monotonic())):
                return
            name, now_ns = f"cam{number:02}", time.time_ns()
            image = jpegs[(seq + 7 * number) % len(jpegs)]
            frame = FrameMessage(name, "s1", seq, now_ns, None, 640, 480, image)
            event = EmotionEvent(name, "s1", seq - 1, now_ns, None, now_ns, 640, 480, "m@1", faces)
            with client.pipeline(transaction=False) as pipe:
                pipe.xadd(KEYS.frames, {b"m": frame.encode()})
                if number in entries:
                    pipe.xdel(KEYS.frames, entries[number])
                    pipe.xadd(KEYS.events, {b"m": event.encode()}, maxlen=10_000)
                entries[number] = pipe.execute()[0]


def measure_cpu(folder: Path, sources: int, jpegs: Sequence[bytes], seconds: float) -> None:
    """CPU of emotion-view with so many sources."""
    stop = threading.Event()
    with TroubledServer("valkey", folder, "--appendonly", "no") as server:
        view, port = start_view(server.url)
        with view:
            cameras = threading.Thread(target=film, args=(server.url, sources, jpegs, stop))
            cameras.start()
            try:
                process = psutil.Process(view.pid)

                def cpu() -> float:
                    process.cpu_percent()
                    time.sleep(seconds)
                    return process.cpu_percent()

                time.sleep(WARM_UP_S)
                closed = cpu()
                with Client(port).open() as client:
                    time.sleep(WARM_UP_S)
                    pictures, size, begin_s = client.pictures, client.bytes, time.monotonic()
                    opened = cpu()
                    taken_s = time.monotonic() - begin_s
                    rate = (client.pictures - pictures) / taken_s / sources
                    megabytes = (client.bytes - size) / taken_s / 1e6
            finally:
                stop.set()
                cameras.join()
            resident = process.memory_info().rss / 2**20
    print(
        f"{sources} sources of {FPS:g} frames/s: CPU {closed:.1f} % with no page, {opened:.1f} % "
        f"with one; {rate:.1f} pictures/s a source, {megabytes:.1f} MB/s; {resident:.0f} MiB"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=12, help="with the page open")
    parser.add_argument("--sources", type=int, nargs="*", default=[1, 20])
    options = parser.parse_args()
    jpegs = clip_jpegs()
    for number, sources in enumerate(options.sources):
        with tempfile.TemporaryDirectory(prefix=f"emotion-view-{number}-") as folder:
            measure_cpu(Path(folder), sources, jpegs, options.seconds)
    if options.rounds:
        with tempfile.TemporaryDirectory(prefix="emotion-view-") as folder:
            measure_workers(Path(folder), options.seconds, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
