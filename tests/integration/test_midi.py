"""MIDI files read back by mido, and ports of a real JACK server read by its own monitor."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import mido
import pytest

from consumer.sinks.midi import MidiPortSink, midi_sink, open_port
from consumer.sinks.midi_file import MidiFileSink
from consumer.sinks.playout import Playout
from contract.errors import UsageError
from contract.smoothed import Signal
from tests.conftest import optional_tool
from tests.signals import event, person, record, transition


def _write(path: Path, signals: Sequence[Signal], rate_hz: float = 10.0) -> mido.MidiFile:
    sink = midi_sink(str(path), Playout(), rate_hz)
    assert isinstance(sink, MidiFileSink)
    for signal in signals:
        sink.write(signal, 0.0)
    assert sink.due_s() is None
    assert not path.exists()
    sink.close()
    return mido.MidiFile(path)


def _times(file: mido.MidiFile) -> list[tuple[float, str]]:
    """When each note and each controller of somebody comes, in seconds."""
    told, now_s = [], 0.0
    for message in file:
        now_s += message.time
        if not message.is_meta and message.channel != 15:
            told.append((round(now_s, 2), message.type))
    return told


def _film(read_speed: float) -> list[Signal]:
    """Ten seconds at ten frames a second; somebody from 1 s to 9 s. Read so much faster."""
    signals: list[Signal] = [record(0.0, "started")]
    for n in range(101):
        t = n / 10
        if n == 10:
            signals.append(transition(t / read_speed))
        people = [person(1, t / 10)] if 10 <= n <= 90 else []
        if n == 91:
            signals.append(transition(t / read_speed, "person_left"))
        signals.append(event(t / read_speed, *people, pts_s=3.0 + t))
    return [*signals, record(10.0 / read_speed + 0.01, "ended")]


def test_a_file_is_what_the_table_says(tmp_path: Path) -> None:
    file = _write(tmp_path / "out.mid", _film(1.0))
    assert (file.type, file.ticks_per_beat) == (1, 960)
    assert [track.name for track in file.tracks] == ["emotion-stream", "voice 1", "room"]
    conductor = file.tracks[0]
    assert [m.tempo for m in conductor if m.type == "set_tempo"] == [500_000]
    assert [m.text for m in conductor if m.type == "text"] == [
        "CC 22, note 60: neutral",
        "CC 23, note 61: happiness",
    ]
    notes = [each for each in _times(file) if each[1].startswith("note")]
    assert notes == [(1.0, "note_on"), (9.1, "note_off")]
    happy = [m.value for m in file.tracks[1] if m.type == "control_change" and m.control == 23]
    assert happy == sorted(set(happy))
    assert (happy[0], happy[-1]) == (13, 114)
    assert file.length == pytest.approx(10.01, abs=0.01)
    assert list(tmp_path.iterdir()) == [tmp_path / "out.mid"]


def test_a_film_read_faster_gives_the_same_music(tmp_path: Path) -> None:
    slow = _times(_write(tmp_path / "slow.mid", _film(1.0)))
    fast = _times(_write(tmp_path / "fast.mid", _film(25.0)))
    assert fast == slow


def test_without_a_rate_each_event_counts(tmp_path: Path) -> None:
    signals: list[Signal] = [event(t, person(1, t)) for t in (0.0, 0.033, 0.5)]
    times = {now_s for now_s, _ in _times(_write(tmp_path / "x.mid", signals, rate_hz=0.0))}
    assert times == {0.0, 0.03, 0.5}


def test_a_clock_that_jumps_does_not_fill_the_file(tmp_path: Path) -> None:
    year_s = 365 * 86_400.0
    signals: list[Signal] = [
        event(0.0, person(1, 0.2)),
        transition(2.0, "person_left"),
        event(year_s, person(2, 0.9)),
    ]
    file = _write(tmp_path / "x.mid", signals)
    notes = [each for each in _times(file) if each[1].startswith("note")]
    assert notes[:3] == [(0.0, "note_on"), (2.0, "note_off"), (year_s, "note_on")]


def test_two_sources_are_on_channels_of_their_own(tmp_path: Path) -> None:
    signals: list[Signal] = []
    for n in range(5):
        signals += [
            event(n / 10, person(), source="a"),
            event(n / 10 + 0.05, person(), source="b"),
        ]
    file = _write(tmp_path / "x.mid", signals)
    assert [track.name for track in file.tracks[1:]] == ["voice 1", "voice 2", "room"]


def test_nothing_seen_is_an_empty_file(tmp_path: Path) -> None:
    assert len(_write(tmp_path / "x.MID", []).tracks) == 1


def test_a_file_of_the_same_name_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.mid"
    path.write_bytes(b"older")
    sink = MidiFileSink(path)
    sink.write(event(0.0, person()), 0.0)
    assert path.read_bytes() == b"older"
    tmp_path.joinpath(f".out-{os.getpid()}.mid").mkdir()  # the disk will not take it
    with pytest.raises(OSError):
        sink.close()
    assert path.read_bytes() == b"older"


def test_a_file_that_cannot_be_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--midi .*the folder .* does not exist"):
        midi_sink(str(tmp_path / "none" / "out.mid"), Playout(), 10.0)
    folder = tmp_path / "folder.mid"
    folder.mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        midi_sink(str(folder), Playout(), 10.0)


@dataclass(frozen=True, slots=True)
class Jack:
    """mido on a JACK server, and what JACK's own monitor heard."""

    backend: mido.Backend
    heard: Path


@pytest.fixture(scope="module")
def jack(
    tmp_path_factory: pytest.TempPathFactory, wait_until: Callable[..., None]
) -> Iterator[Jack]:
    """A JACK server without hardware and with one port, its monitor's. It takes 6 s to end."""
    server = optional_tool("jackd (Debian package jackd2)", shutil.which("jackd"))
    monitor = optional_tool(
        "jack_midi_dump (Debian package jackd2)", shutil.which("jack_midi_dump")
    )
    name, folder = f"emotion-{os.getpid()}", tmp_path_factory.mktemp("jack")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("JACK_DEFAULT_SERVER", name)
        patch.setenv("JACK_NO_START_SERVER", "1")
        backend = mido.Backend("mido.backends.rtmidi/UNIX_JACK", use_environ=False)
        log = stack.enter_context((folder / "log").open("wb"))
        heard = stack.enter_context((folder / "heard").open("wb"))
        running = [
            subprocess.Popen(
                [server, "--no-realtime", "-n", name, "-d", "dummy", "-p", "512"],
                stdout=log,
                stderr=log,
            )
        ]
        try:
            wait_until(lambda: _ports(backend) is not None, what="jackd runs")
            running.append(subprocess.Popen([monitor, "-r"], stdout=heard, stderr=log))
            wait_until(lambda: bool(_ports(backend)), what="jack_midi_dump runs")
            yield Jack(backend, folder / "heard")
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(20)


def _ports(backend: mido.Backend) -> list[str] | None:
    try:
        return list(backend.get_output_names())
    except OSError:
        return None


def test_a_port_is_played_to_a_program_no_one_here_wrote(
    jack: Jack, wait_until: Callable[..., None]
) -> None:
    with pytest.raises(UsageError, match=r"no such MIDI port; there are midi-monitor:input"):
        open_port("piano", backend=jack.backend)
    sink = MidiPortSink(open_port("Monitor", backend=jack.backend), Playout(0.0))
    assert sink.name == "midi midi-monitor:input"
    steps = itertools.count()

    def hears() -> bool:  # JACK connects while the first messages are on their way
        n = next(steps)
        sink.write(event(n / 10, person(n, 1.0, voice=3)), n / 10)
        sink.write(event(n / 10 + 0.05, person(n, 0.0, voice=3, label="neutral")), n / 10)
        return {"92 3d 7f", "b2 14 40", "82 3d 00"} <= _heard(jack)

    wait_until(hears, what="a note, valence 0 and the note's end on channel 3")
    silent = len(jack.heard.read_bytes())
    sink.close()
    wait_until(lambda: b"82 3c 00" in jack.heard.read_bytes()[silent:], what="silence at the end")


def _heard(jack: Jack) -> set[str]:
    """Messages as the monitor writes them: bytes in hexadecimal."""
    lines = jack.heard.read_text().splitlines()
    return {" ".join(line.split(":")[1].split()[:3]) for line in lines if line.count(":") > 0}


def test_a_virtual_port_is_there_for_others(jack: Jack) -> None:
    port = open_port("virtual:faces", backend=jack.backend)
    try:
        assert any("faces" in name for name in jack.backend.get_input_names())
    finally:
        port.close()


def test_a_machine_without_midi_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "nobody-started-this")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    backend = mido.Backend("mido.backends.rtmidi/UNIX_JACK", use_environ=False)
    with pytest.raises(UsageError, match=r"^--midi piano: "):
        open_port("piano", backend=backend)
    with pytest.raises(UsageError, match="expected a name after virtual:"):
        open_port("virtual:", backend=backend)
    with pytest.raises(UsageError, match=r"pip install 'emotion-stream\[midi\]'"):
        open_port("piano", backend=mido.Backend("mido.backends.not_installed"))
