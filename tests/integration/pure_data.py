"""Pd and the patch of deploy/examples, headless: rendered from a score, or listening to UDP.

A rendering needs no sound card and is faster than real time (`-batch`); the bundles come at Pd's
logical time, so that the same ones give the same samples on any machine.
"""

from __future__ import annotations

import re
import subprocess
import threading
import wave
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message_builder import build_msg

from tests.integration.sound import RATE_HZ, Samples

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
TICK_S = 0.1
CAPTURED_S = 1_700_000_000  # of the first bundle: long ago, as in a replay
LABELS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")

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

Bundle = tuple[float, bytes]  # when it arrives (s), and the datagram
Message = tuple[str, Sequence[object]]


def bundle(at_s: float, messages: Iterable[Message]) -> bytes:
    """One datagram, with the capture time as its time tag."""
    builder = OscBundleBuilder(CAPTURED_S + at_s)  # type: ignore[arg-type]  # it takes fractions
    for address, values in messages:
        builder.add_content(build_msg(address, list(values)))
    return builder.build().dgram


def mood(
    start_s: float,
    end_s: float,
    valence: float,
    arousal: float,
    source: str = "lobby",
    people: int = 1,
) -> list[Bundle]:
    """What the OSC sink sends while people look like that: a bundle every 100 ms."""
    here = f"/emotion/{source}"
    messages: list[Message] = [(f"{here}/labels", LABELS), (f"{here}/people", (people,))]
    for track in range(1, people + 1):
        messages += [
            (f"{here}/{track}/va", (valence, arousal)),
            (f"{here}/{track}/label", ("happiness",)),
            (f"{here}/{track}/weights", (1 / len(LABELS),) * len(LABELS)),
        ]
    messages.append((f"{here}/room/va", (valence, arousal)))
    ticks = np.arange(round(start_s / TICK_S), round(end_s / TICK_S)) * TICK_S
    return [(float(at_s), bundle(at_s, messages)) for at_s in ticks]


def render(pd: str, folder: Path, bundles: Iterable[Bundle], length_s: float) -> Samples:
    """What the patch plays: (samples, 2), -1..1."""
    score, now_ms, samples = ["0 start bang;"], 0.0, round(length_s * RATE_HZ)
    for at_s, datagram in sorted(bundles):
        at_ms = at_s * 1000
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
