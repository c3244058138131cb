"""Converted networks on disk: whole or not there, whatever happens to the files."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.engines.cache import IrCache


def writes(xml: bytes, weights: bytes = b"weights") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(xml)
        path.with_suffix(".bin").write_bytes(weights)

    return write


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_what_was_added_is_found_by_its_key_only(tmp_path: Path) -> None:
    cache = IrCache(tmp_path / "not" / "there")
    assert cache.find("a-1") is None

    added = cache.add("a-1", writes(b"<net/>"))

    assert added is not None
    assert cache.find("a-1") == added
    assert added.read_bytes() == b"<net/>"
    assert added.with_suffix(".bin").read_bytes() == b"weights"
    assert cache.find("a-2") is None
    assert entries(added.parent.parent) == ["a-1"]


@pytest.mark.parametrize("name", ["model.xml", "model.bin", "sha256"])
@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_a_damaged_entry_is_not_found_and_made_anew(tmp_path: Path, name: str, damage: str) -> None:
    cache = IrCache(tmp_path)
    cache.add("a", writes(b"<net/>"))
    file = tmp_path / "a" / name
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if damage == "cut" else b"\xff" + content[1:])

    assert cache.find("a") is None
    added = cache.add("a", writes(b"<net2/>"))

    assert added is not None
    assert added.read_bytes() == b"<net2/>"
    assert entries(tmp_path) == ["a"]


def test_of_two_workers_that_start_together_one_converts(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(path: Path) -> None:
        begun.set()
        assert go_on.wait(20)
        writes(b"<first/>")(path)

    def never(path: Path) -> None:
        raise AssertionError("converted twice")

    with ThreadPoolExecutor(2) as workers:
        first = workers.submit(IrCache(tmp_path).add, "a", slowly)
        assert begun.wait(20)
        second = workers.submit(IrCache(tmp_path).add, "a", never)
        other = IrCache(tmp_path).add("b", writes(b"<other/>"))  # does not wait for "a"
        go_on.set()
        added = first.result(20)
        assert second.result(20) == added

    assert added is not None and other is not None
    assert added.read_bytes() == b"<first/>"
    assert entries(tmp_path) == ["a", "b"]


def test_what_a_killed_worker_left_goes(tmp_path: Path) -> None:
    (tmp_path / ".a.x1.tmp" / "a").mkdir(parents=True)
    (tmp_path / ".b.x2.tmp").mkdir()

    IrCache(tmp_path).add("a", writes(b"<net/>"))

    assert entries(tmp_path) == [".b.x2.tmp", "a"]  # the other's may be in work


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = IrCache(tmp_path / "file" / "cache")

    assert cache.find("a") is None
    assert cache.add("a", writes(b"<net/>")) is None


def test_a_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        IrCache(tmp_path).add("a", write)

    assert entries(tmp_path) == []
