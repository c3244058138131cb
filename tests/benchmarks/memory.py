"""Is a worker's memory flat? Sends a clip again and again and prints what is resident as it goes.

    python -m tests.benchmarks.memory                  100,000 frames: ten minutes on two cores
    python -m tests.benchmarks.memory --frames 20000 CLIP

A real server, producer (lossless, as fast as the worker takes them) and worker on the networks that
are fastest here. The warm-up is the first tenth: buffers reach their sizes there.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import psutil

from contract.connect import connect
from contract.keys import Keys
from contract.snapshot import read_snapshot
from deploy.local.child import Child
from deploy.local.parts import Parts
from deploy.local.settings import UpSettings
from tests.benchmarks.footage import SHIPPED
from tests.benchmarks.progress import say

_LOOKS = 40
_MIB = 2**20


def measure(clip: Path, frames: int) -> list[tuple[int, float]]:
    """(frames done, MiB resident in the worker), at even distances."""
    found: list[tuple[int, float]] = []
    with Parts(UpSettings(source=[str(clip)])) as parts:
        parts.start_workers()
        while not parts.all_workers_ready:
            parts.check()
            time.sleep(0.05)
        (child,) = parts._workers
        worker = psutil.Process(child.pid)
        producer = Child(
            "producer",
            "producer",
            ["--loop", "--no-realtime", "--log-format", "json", "--", str(clip)],
            environment={"EMOTION_REDIS": parts.url},
        )
        try:
            with connect(parts.url) as client:
                keys = Keys(UpSettings.model_fields["prefix"].default)
                for look in range(1, _LOOKS + 1):
                    while (done := read_snapshot(client, keys).events) < frames * look // _LOOKS:
                        parts.check()
                        producer.check()
                        time.sleep(0.1)
                    found.append((done, worker.memory_info().rss / _MIB))
                    say(f"{done:>9,} frames   {found[-1][1]:7.1f} MiB")
        finally:
            producer.terminate()
            producer.wait(5.0)
            producer.kill()
        parts.stop()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clip", nargs="?", type=Path, default=SHIPPED, metavar="CLIP")
    parser.add_argument("--frames", type=int, default=100_000)
    options = parser.parse_args()
    found = measure(options.clip, options.frames)
    warm = np.array(found[len(found) // 10 :])
    slope = float(np.polyfit(warm[:, 0], warm[:, 1], 1)[0])
    print(
        f"{int(warm[-1, 0]):,} frames: {warm[0, 1]:.1f} MiB after the warm-up, "
        f"{warm[-1, 1]:.1f} at the end, {warm[:, 1].max():.1f} at most; "
        f"{slope * 1e5:+.1f} MiB in 100,000 frames by a straight line"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
