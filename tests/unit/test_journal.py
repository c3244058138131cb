"""The journal: what is done survives a kill, a cut and a full disk."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contract.errors import UsageError
from trainer.prepare.cropping import Cropped, Outcome, Refused
from trainer.prepare.journal import Journal

ABOUT = {"data": "/사진", "side_px": 96}


def outcome(number: int) -> Outcome:
    name = f"사진/{number}.jpg"
    if number % 3 == 2:
        return Refused(name, "no face found", rotated=True)
    data = bytes([number % 251]) * (500 + number)
    return Cropped(name, data, bytes(8), bytes(range(32)), number % 2 == 0, 2, 0.75, 0.5)


def test_outcomes_come_back_as_they_were(tmp_path: Path) -> None:
    with Journal(tmp_path / "new" / "j", ABOUT) as journal:
        journal.add(outcome(i) for i in range(5))
        journal.add([outcome(5)])
        assert [journal.get(outcome(i).id) for i in range(6)] == [outcome(i) for i in range(6)]
        assert "사진/7.jpg" not in journal
    with Journal(tmp_path / "new" / "j", ABOUT) as journal:
        assert len(journal) == 6
        assert [journal.get(outcome(i).id) for i in range(6)] == [outcome(i) for i in range(6)]
        journal.add([outcome(7)])
        assert journal.get("사진/7.jpg") == outcome(7)


@pytest.mark.parametrize("cut", [1, 11, 300, 700])
def test_an_entry_cut_short_is_dropped_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j"
    with Journal(path, ABOUT) as journal:
        journal.add([outcome(0), outcome(1)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Journal(path, ABOUT) as journal:
        assert outcome(1).id not in journal
        assert journal.get(outcome(0).id) == outcome(0)
        journal.add([outcome(1)])
    assert path.read_bytes() == whole


def test_an_entry_that_was_never_written_through_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, ABOUT) as journal:
        journal.add([outcome(0), outcome(1)])
    data = bytearray(path.read_bytes())
    data[-100:] = bytes(100)  # a power failure leaves zeros
    path.write_bytes(data)
    with Journal(path, ABOUT) as journal:
        assert len(journal) == 1


def test_another_runs_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, ABOUT) as journal:
        journal.add([outcome(0)])
    before = path.read_bytes()
    with pytest.raises(UsageError, match="another run was doing, with other data or options"):
        Journal(path, ABOUT | {"side_px": 48})
    assert path.read_bytes() == before
    with Journal(path, ABOUT | {"side_px": 48}, force=True) as journal:
        assert len(journal) == 0


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j", ABOUT),
        pytest.raises(UsageError, match="another emotion-trainer prepare works on it"),
    ):
        Journal(tmp_path / "j", ABOUT)
    Journal(tmp_path / "j", ABOUT).close()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file/j: cannot write: .*(directory|exists)"):
        Journal(tmp_path / "file" / "j", ABOUT)


def test_a_full_disk_loses_nothing_of_what_was_done(tmp_path: Path) -> None:
    program = f"""
import pathlib, resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.unit.test_journal import ABOUT, outcome
from trainer.prepare.journal import Journal
from contract.errors import EmotionStreamError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
with Journal(pathlib.Path(sys.argv[1]), ABOUT) as journal:
    try:
        for number in range(100):
            journal.add([outcome(number)])
    except EmotionStreamError as error:
        print(error)
"""
    assert signal.SIGXFSZ
    assert resource.RLIMIT_FSIZE
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "j")], capture_output=True, text=True
    )
    assert done.stderr == ""
    with Journal(tmp_path / "j", ABOUT) as journal:
        assert 4 <= len(journal) <= 12
        assert f"j: cannot write: File too large; {len(journal)} images are done" in done.stdout
        for number in range(len(journal)):
            assert journal.get(outcome(number).id) == outcome(number)
