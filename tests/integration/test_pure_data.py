"""The Pure Data patch of deploy/examples, opened headless and played; what it plays is measured."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from consumer.sinks.osc import OscSink
from consumer.sinks.playout import Playout
from consumer.sinks.udp import UdpAddress
from contract.smoothed import Change, Signal
from tests.conftest import optional_tool
from tests.integration.pure_data import (
    EXAMPLES,
    TICK_S,
    complaints,
    datagrams,
    listening,
    mood,
    render,
)
from tests.integration.sound import (
    RATE_HZ,
    Samples,
    chroma,
    decibels,
    new_pitches,
    onset_rate_hz,
    onset_times_s,
)
from tests.ports import free_udp_port
from tests.signals import transition

F, F_SHARP = 5, 6  # pitch classes; on D, the patch's tonic, the minor third and the major one


@pytest.fixture(scope="module")
def pd() -> str:
    return optional_tool("pd (Debian: puredata-core)", shutil.which("pd"))


class Piece:
    """One rendering with every mood in it, and silences."""

    SCORE = (
        ("calm major", 1, 16, 0.5, -0.6),
        ("excited major", 16, 31, 0.5, 0.8),
        ("still major", 31, 39, 0.0, -0.6),
        ("calm minor", 49, 64, -0.5, -0.6),
        ("still minor", 64, 72, 0.0, -0.6),
        ("excited minor", 72, 87, -0.5, 0.8),
    )
    LENGTH_S = 96

    def __init__(self, pd: str, folder: Path) -> None:
        signals: list[Signal] = []
        end_s = 0.0
        for _, *what in (*self.SCORE, ("", self.LENGTH_S, self.LENGTH_S)):
            signals += mood(end_s, what[0], people=0) + mood(*what)
            end_s = what[1]
        self.samples = render(pd, folder, signals, self.LENGTH_S)

    def between(self, start_s: float, end_s: float) -> Samples:
        return self.samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]

    def during(self, name: str) -> Samples:
        """Without the first three seconds, in which the piece gets there."""
        (span,) = [(start, end) for known, start, end, *_ in self.SCORE if known == name]
        return self.between(span[0] + 3, span[1])


@pytest.fixture(scope="module")
def piece(pd: str, tmp_path_factory: pytest.TempPathFactory) -> Piece:
    return Piece(pd, tmp_path_factory.mktemp("piece"))


def test_the_patch_opens_without_a_complaint(pd: str) -> None:
    done = subprocess.run(
        [
            *(pd, "-noprefs", "-nogui", "-stderr", "-noaudio", "-batch"),
            *("-open", str(EXAMPLES / "emotion.pd"), "-send", "pd quit"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = [line for line in complaints(done.stderr) if "already in use" not in line]
    assert (done.returncode, found) == (0, [])


@pytest.mark.parametrize("mode", ["major", "minor"])
def test_arousal_makes_it_denser_and_louder(piece: Piece, mode: str) -> None:
    calm, excited = piece.during(f"calm {mode}"), piece.during(f"excited {mode}")
    assert onset_rate_hz(calm) > 0.4
    assert onset_rate_hz(excited) > 3 * onset_rate_hz(calm)
    assert decibels(excited) > decibels(calm) + 6


@pytest.mark.parametrize("arousal", ["calm", "excited"])
def test_valence_chooses_the_mode(piece: Piece, arousal: str) -> None:
    bright, dark = (
        chroma(piece.during(f"{arousal} major")),
        chroma(piece.during(f"{arousal} minor")),
    )
    assert bright[F_SHARP] > 10 * bright[F]
    assert dark[F] > 10 * dark[F_SHARP]


def test_between_major_and_minor_the_mode_stays(piece: Piece) -> None:
    bright, dark = chroma(piece.during("still major")), chroma(piece.during("still minor"))
    assert bright[F_SHARP] > 4 * bright[F]
    assert dark[F] > 4 * dark[F_SHARP]


def test_it_is_silent_while_nobody_is_there(piece: Piece) -> None:
    """Before the first, in between, after the last: 1.5 s until it believes that, 4 s of fade."""
    for start_s, end_s in ((0, 0.9), (45, 48.9), (93, piece.LENGTH_S)):
        assert decibels(piece.between(start_s, end_s)) < -100
    fading = [decibels(piece.between(at_s, at_s + 1)) for at_s in (39, 41, 42, 43)]
    assert fading == sorted(fading, reverse=True)
    assert fading[-1] > -70


def test_levels_are_clean(piece: Piece) -> None:
    peak = np.abs(piece.samples).max()
    assert 0.25 < peak < 10 ** (-1 / 20)  # under -1 dBFS, and not timid
    assert np.abs(piece.samples.mean(axis=0)).max() < 1e-3
    assert min(decibels(piece.samples[:, side]) for side in (0, 1)) > -30


def test_there_are_no_clicks(piece: Piece) -> None:
    """A click has a third difference far above what the music has in that second."""
    curve = np.diff(piece.samples.mean(axis=1), 3) ** 2
    blocks = curve[: len(curve) // 64 * 64].reshape(-1, 64).mean(axis=1)
    for _, start_s, end_s, *_ in piece.SCORE:
        for at_s in range(start_s + 2, end_s):
            second = blocks[at_s * RATE_HZ // 64 : (at_s + 1) * RATE_HZ // 64]
            assert second.max() < 100 * np.percentile(second, 95), f"a click in second {at_s}"


@pytest.mark.parametrize("source", ["0", "로비", "list", "bang", "a;b,c$1", "room"])
def test_any_source_sounds_the_same(pd: str, tmp_path: Path, source: str) -> None:
    played = []
    for name in ("lobby", source):
        (folder := tmp_path / f"of {name == source}").mkdir()
        played.append(render(pd, folder, mood(0, 2, -0.5, 0.5, source=name), 3))
    assert decibels(played[0]) > -60
    assert np.array_equal(played[0], played[1])


@pytest.mark.parametrize(
    ("change", "every_s", "count", "rises"),
    [
        ("person_entered", 0.16, 2, True),
        ("person_left", 0.16, 2, False),
        ("emotion_changed", 0.07, 4, True),
    ],
)
def test_what_happens_to_a_person_is_heard(
    pd: str, tmp_path: Path, change: Change, every_s: float, count: int, rises: bool
) -> None:
    """The same music but for the notes that mark it: two up, two down, or a chord strummed."""
    at_s, played = 5.02, []
    for name, changes in (("without", []), ("with", [transition(at_s, change)])):
        (folder := tmp_path / name).mkdir()
        signals = [*mood(0, 5.1, 0.5, -1.0), *changes, *mood(5.1, 7, 0.5, -1.0)]
        played.append(render(pd, folder, signals, 7))
    marks = played[1] - played[0]
    assert not marks[: round(at_s * RATE_HZ) - 64].any()
    pitches = new_pitches(marks, at_s, every_s, count)
    assert pitches == sorted(pitches, reverse=not rises)
    assert abs(pitches[-1] - pitches[0]) > 6


def test_two_people_play_more_notes(pd: str, tmp_path: Path) -> None:
    played = []
    for people in (1, 2):
        (folder := tmp_path / str(people)).mkdir()
        played.append(render(pd, folder, mood(0, 12, 0.5, 0.3, people=people), 12))
    companion = played[1] - played[0]
    assert len(onset_times_s(companion)) >= 3


def test_it_plays_what_comes_over_udp(
    pd: str, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    port = free_udp_port()
    with (
        listening(pd, tmp_path, port) as loudness,
        closing(OscSink([UdpAddress("127.0.0.1", port)], Playout(rate_hz=0))) as sink,
    ):
        wait_until(lambda: len(loudness) >= 5, what="Pd runs")
        assert max(loudness) == 0
        sent_s, signals = 0.0, iter(mood(0, 600, 0.5, 0.5))

        def heard() -> bool:
            nonlocal sent_s
            if (now_s := time.monotonic()) >= sent_s + TICK_S:
                sent_s = now_s
                sink.write(next(signals), now_s)
            return loudness[-1] > 60

        wait_until(heard, what="music")


def test_the_recipe_for_python_hears_it(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    """The block in the README of the examples, as it stands, on another port."""
    text = (EXAMPLES / "README.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "9000" in block
    port = free_udp_port()
    recipe = tmp_path / "recipe.py"
    recipe.write_text(block.replace("9000", str(port)), "utf-8")
    printed = tmp_path / "printed"
    with printed.open("w") as output:
        process = subprocess.Popen([sys.executable, "-u", str(recipe)], stdout=output)
    try:
        (_, datagram), *_ = datagrams(mood(0, 1, 0.5, -0.25))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:

            def heard() -> bool:
                to.sendto(datagram, ("127.0.0.1", port))
                return "\n" in printed.read_text("utf-8")

            wait_until(heard, what="a line")
    finally:
        process.kill()
        process.wait(10)
    assert printed.read_text("utf-8").splitlines()[0] == "lobby 0.5 -0.25"
