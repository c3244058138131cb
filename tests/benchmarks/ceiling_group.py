"""The ceiling in several processes, each with its share of the cores and a pass of its own.

Nothing is shared, so nobody waits for anybody: no interpreter lock between them, no hand-over. Run
as a program: one line of JSON for all of them together, see `tests.benchmarks.line`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from contract.process.settings import usable_cores

_SHAPE = "1x8"


def main(clip: str, count: int) -> int:
    environment = {**os.environ, **threads(usable_cores() // count)}
    parts = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.ceiling", "--wait", clip, _SHAPE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(count)
    ]
    try:
        for part in parts:
            assert part.stdout is not None
            if part.stdout.readline() != "ready\n":
                return part.wait() or 1
        for part in parts:
            assert part.stdin is not None
            part.stdin.write("go\n")
            part.stdin.flush()
        outputs = [part.communicate()[0] for part in parts]
    finally:
        for part in parts:
            part.kill()
    lines = [json.loads(output) for output in outputs]
    together = {
        "frames": sum(line["frames"] for line in lines),
        "faces": sum(line["faces"] for line in lines),
        "begin_ns": min(line["begin_ns"] for line in lines),
        "end_ns": max(line["end_ns"] for line in lines),
        "engine": lines[0]["engine"],
        "shape": f"{count} processes, {_SHAPE}",
    }
    print(json.dumps(together))
    return 0


def threads(count: int) -> Mapping[str, str]:
    """What gives a process `count` threads for its networks, whatever runs them."""
    text = str(max(1, count))
    return {
        "EMOTION_THREADS": text,
        "EMOTION_DECODE_THREADS": text,
        "TF_NUM_INTRAOP_THREADS": text,
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": text,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
