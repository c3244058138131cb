"""Pd and the patch of deploy/examples, headless: rendered from a score, or listening to UDP.

A rendering needs no sound card and is faster than real time (`-batch`); what the OSC sink
sends comes at Pd's logical time, so that the same signals give the same samples on any machine.
"""

from __future__ import annotations

import re
import subprocess
import threading
import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from consumer.sinks.osc import OscSource
from consumer.sinks.osc_packet import bundles
from consumer.sinks.playout import immediate
from contract.affect import Range
from contract.smoothed import Signal
from tests.integration.sound import RATE_HZ, Samples
from tests.signals import START_NS, event, person

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
TICK_S = 0.1

# Bytes to play from a score; arrays in place of the loudspeakers, written to a file at the end.
# ([writesf~] would do, but its thread may still have sound in hand when Pd quits.)
RENDER = r"""#N canvas 0 0 450 300 12;
#X obj 10 10 r osc;
#X obj 10 40 emotion -1;
#X obj 10 70 tabwrite~ left;
#X obj 110 70 tabwrite~ right;
#X obj 110 10 r start;
#X obj 210 70 array define left SAMPLES;
#X obj 210 100 array define right SAMPLES;
#X obj 210 10 r file;
#X obj 210 40 soundfiler;
#X obj 10 100 loadbang;
#X msg 10 130 read score.txt \, bang;
#X obj 10 160 qlist;
#X connect 0 0 1 0;
#X connect 1 0 2 0;
#X connect 1 1 3 0;
#X connect 4 0 2 0;
#X connect 4 0 3 0;
#X connect 7 0 8 0;
#X connect 9 0 10 0;
#X connect 10 0 11 0;
"""

# UDP in; the loudness of the left side (dB, 100 is full scale) printed ten times a second.
LISTEN = r"""#N canvas 0 0 450 300 12;
#X obj 10 10 emotion PORT;
#X obj 10 40 env~ 8192 4096;
#X obj 10 70 print loudness;
#X connect 0 0 1 0;
#X connect 1 0 2 0;
"""


def mood(
    start_s: float,
    end_s: float,
    valence: float = 0.0,
    arousal: float = 0.0,
    source: str = "lobby",
    people: int = 1,
) -> list[Signal]:
    """So many people who all look like that, ten times a second."""
    ticks = np.arange(round(start_s / TICK_S), round(end_s / TICK_S)) * TICK_S
    scores = {"neutral": 0.5, "happiness": 0.5}
    crowd = [
        replace(person(track, scores=scores), valence=valence, arousal=arousal)
        for track in range(1, people + 1)
    ]
    return [event(float(at_s), *crowd, source=source) for at_s in ticks]


def datagrams(signals: Iterable[Signal]) -> Iterator[tuple[int, bytes]]:
    """What the OSC sink sends of signals, and when: nanoseconds since `START_NS`."""
    sources: dict[str, OscSource] = {}
    for frame in map(immediate, signals):
        source = sources.setdefault(
            frame.source, OscSource(frame.source, by="track", scale=Range.SIGNED)
        )
        for datagram in bundles(frame.at_ns, source.messages(frame)):
            yield frame.at_ns - START_NS, datagram


def render(pd: str, folder: Path, signals: Iterable[Signal], length_s: float) -> Samples:
    """What the patch plays: (samples, 2), -1..1."""
    score, now_ms, samples = ["0 start bang;"], 0.0, round(length_s * RATE_HZ)
    for at_ns, datagram in datagrams(signals):
        at_ms = at_ns / 1e6
        score.append(f"{at_ms - now_ms:.3f} osc {' '.join(map(str, datagram))};")
        now_ms = at_ms
    score.append(f"{length_s * 1000 + 10 - now_ms:.3f} file write -bytes 3 played.wav left right;")
    score.append("0 pd quit;")
    (folder / "score.txt").write_text("\n".join(score), "utf-8")
    (folder / "render.pd").write_text(RENDER.replace("SAMPLES", str(samples)), "utf-8")
    done = subprocess.run(
        [
            *(pd, "-noprefs", "-nogui", "-stderr", "-noaudio", "-batch", "-r", str(RATE_HZ)),
            *("-path", str(EXAMPLES), str(folder / "render.pd")),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not complaints(done.stderr), done.stderr
    with wave.open(str(folder / "played.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE_HZ, 2)
        assert file.getnframes() == samples
        played = np.frombuffer(file.readframes(file.getnframes()), np.uint8).reshape(-1, 3)
    wide = np.zeros((len(played), 4), np.uint8)
    wide[:, 1:] = played  # 24 bits, in the upper part of 32
    return wide.view("<i4").reshape(-1, 2) / 2**31


def complaints(stderr: str) -> list[str]:
    """What Pd printed, without what it says of the file's level."""
    return [line for line in stderr.splitlines() if "biggest amplitude" not in line]


@contextmanager
def listening(pd: str, folder: Path, port: int) -> Iterator[list[float]]:
    """The patch in real time on a port of its own; the list grows by its loudness, dB."""
    (folder / "listen.pd").write_text(LISTEN.replace("PORT", str(port)), "utf-8")
    process = subprocess.Popen(
        [
            *(pd, "-noprefs", "-nogui", "-stderr", "-noaudio", "-nrt", "-r", str(RATE_HZ)),
            *("-path", str(EXAMPLES), str(folder / "listen.pd")),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    loudness: list[float] = []
    assert process.stderr is not None
    reader = threading.Thread(target=_read, args=(process.stderr, loudness), daemon=True)
    reader.start()
    try:
        yield loudness
    finally:
        process.kill()
        process.wait(10)
        reader.join(10)
        process.stderr.close()


def _read(lines: IO[str], loudness: list[float]) -> None:
    for line in lines:
        if found := re.fullmatch(r"loudness: (\S+)\s*", line):
            loudness.append(float(found[1]))  # noqa: PERF401  # it is read meanwhile
