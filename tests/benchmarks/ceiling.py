"""What this machine could do at best: the product's own decoding, encoding and networks, with no
server, no queue between processes and no messages.

Run as a program: one line of JSON for each shape, see `tests.benchmarks.line`. A shape is how the
work is cut: ``LANESxBATCH``. One thread decodes video, one encodes JPEGs as the producer would,
each lane takes full batches of them from memory and does all that a worker does with a batch.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from contract.frame import FrameMessage
from producer.encode import encode_jpeg
from producer.heartbeat import Heartbeat
from producer.reader import ReaderThread
from producer.settings import ProducerSettings
from producer.source import find_sources
from tests.benchmarks.line import Stopwatch
from tests.benchmarks.pipeline import engine_name
from worker.outcome import FrameAnalyser, Seen
from worker.settings import WorkerSettings


def frames(clip: str) -> Iterator[FrameMessage]:
    """The clip's frames as the producer would send them."""
    # The producer's own defaults.
    chosen = {
        name: ProducerSettings.model_fields[name].get_default() for name in ("max_width", "quality")
    }
    (source,) = find_sources([clip], [])
    reader = ReaderThread(source.open, source.label)
    try:
        for seq, frame in enumerate(reader.frames(Heartbeat(threading.Event()))):
            jpeg = encode_jpeg(frame.image(chosen["max_width"]), **chosen)
            yield FrameMessage(
                source.id, "s", seq, frame.captured_at_ns, frame.pts_ns, jpeg.width, jpeg.height,
                jpeg.data,
            )  # fmt: skip
    finally:
        reader.close()


class Lanes:
    """Threads that analyse full batches from a bounded queue; `faces` and `frames` count."""

    def __init__(self, analyser: FrameAnalyser, lanes: int, batch: int) -> None:
        self._analyser = analyser
        self._batch = batch
        # As deep as keeps every lane in work, and no deeper: memory is not free either.
        self._frames: queue.Queue[FrameMessage | None] = queue.Queue(2 * lanes * batch)
        self._taking = threading.Lock()
        self._lanes = lanes
        self._is_over = False

    def run(self, clip: str, watch: Stopwatch) -> None:
        """Until every frame of the clip is analysed. Raises what a lane raised."""
        with ThreadPoolExecutor(self._lanes, "lane") as threads:
            lanes = [threads.submit(self._work) for _ in range(self._lanes)]
            for frame in frames(clip):
                if not self._put(frame, lanes):
                    break
                watch.frames += 1
            self._put(None, lanes)
            watch.faces = sum(lane.result() for lane in lanes)

    def _put(self, frame: FrameMessage | None, lanes: Sequence[Future[int]]) -> bool:
        """False when nobody takes frames any more: a lane has failed, its result says why."""
        while not any(lane.done() for lane in lanes):
            with suppress(queue.Full):
                self._frames.put(frame, timeout=0.2)
                return True
        # Those that still work need an end, and the queue may be full of what nobody wants.
        self._is_over = True
        with suppress(queue.Empty):
            while True:
                self._frames.get_nowait()
        self._frames.put(None)
        return False

    def _work(self) -> int:
        faces = 0
        while batch := self._take():
            outcomes = self._analyser.analyse(batch)
            faces += sum(len(outcome.faces) for outcome in outcomes if isinstance(outcome, Seen))
        return faces

    def _take(self) -> list[FrameMessage]:
        """A full batch; a shorter one, or none, at the end."""
        with self._taking:  # or two lanes would share the frames, and both wait for more
            if self._is_over:
                return []
            batch = list(itertools.islice(iter(self._frames.get, None), self._batch))
            self._is_over = len(batch) < self._batch
            return batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("shapes", nargs="*", metavar="LANESxBATCH", help="default: a few")
    parser.add_argument("--wait", action="store_true", help="begin when told to by a line on stdin")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")

    settings = WorkerSettings()
    with ThreadPoolExecutor(settings.decoders, "decode") as decoders:
        from worker.assemble import build_analyser

        analyser, info = build_analyser(settings, decoders, lambda _stage, _seconds: None)
        if options.wait:
            print("ready", flush=True)
            sys.stdin.readline()
        for shape in options.shapes or default_shapes(analyser):
            lanes, batch = (int(number) for number in shape.split("x"))
            watch = Stopwatch()
            Lanes(analyser, lanes, batch).run(options.clip, watch)
            watch.report(engine=engine_name(info), shape=shape)


def default_shapes(analyser: FrameAnalyser) -> list[str]:
    """What is worth trying: the worker's own lanes and one more, long batches and short ones."""
    lanes, batch = analyser.lanes, analyser.batch_size
    short = max(1, batch // 4)
    return [f"{lanes}x{batch}", f"{lanes}x{short}", f"{lanes + 1}x{short}"]


if __name__ == "__main__":
    main()
