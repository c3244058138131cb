"""Ids of sources: readable, unique, safe on the wire, and never a password."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import wire
from contract.errors import UsageError
from producer.ids import assign_ids, id_of_file, id_of_url, sanitised
from producer.source import find_sources


def ids(*arguments: str, wanted: tuple[str, ...] = ()) -> list[str]:
    return [source.id for source in find_sources(arguments, wanted)]


def test_default_ids() -> None:
    assert ids("some/Clip 1.final.mp4", "0", "/dev/video2") == [
        "Clip-1.final",
        "camera0",
        "camera2",
    ]


def test_the_same_file_twice_gets_two_ids() -> None:
    assert ids("clip.mp4", "clip.mp4", "b/clip.mkv") == ["clip", "clip-2", "clip-3"]


def test_a_numbered_id_avoids_a_real_one() -> None:
    assert ids("clip.mp4", "clip-2.mp4", "clip.mp4") == ["clip", "clip-2", "clip-3"]


def test_a_url_gives_host_port_and_path_without_secrets() -> None:
    url = "rtsp://admin:geheim@cam.local:8554/live/main?token=secret#x"
    assert id_of_url(url) == "cam.local-8554-live-main"
    (source,) = find_sources([url], ())
    for text in (source.id, source.label, repr(source)):
        assert "geheim" not in text
        assert "admin" not in text
        assert "secret" not in text
    assert source.kind == "url"
    assert source.location == url


@pytest.mark.parametrize(
    "url", ["rtsp://u:geheim@[::1/live", "rtsp://u:ge?heim@[::1/live?k=geheim", "ftp://u:geheim@[x"]
)
def test_what_is_meant_as_a_url_and_is_none_is_named_without_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="expected a URL") as caught:
        ids("0", url)
    assert "heim" not in str(caught.value)
    assert "ge?" not in str(caught.value)
    assert url.rpartition("@")[2].partition("?")[0] in str(caught.value)


def test_a_number_no_camera_has_is_a_file_name() -> None:
    assert [source.kind for source in find_sources(["12", "9" * 30], ())] == ["camera", "file"]


def test_other_scripts_keep_their_letters_however_they_are_composed() -> None:
    assert id_of_file(PurePath("공연 영상.mp4")) == "공연-영상"
    assert id_of_file(PurePath(unicodedata.normalize("NFD", "공연.mp4"))) == "공연"


def test_explicit_ids_are_for_the_first_sources() -> None:
    assert ids("a.mp4", "b.mp4", "c.mp4", wanted=("stage", "c")) == ["stage", "c", "c-2"]


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (("one", "two"), "at most one per source (1), got 2"),
        (("a/b",), "printable characters"),
        (("",), "printable characters"),
        (("x" * 200,), "128"),
    ],
)
def test_ids_that_cannot_be_used_are_refused(wanted: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        ids("a.mp4", wanted=wanted)
    assert complaint in str(caught.value)


def test_an_id_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="'x' twice"):
        ids("a.mp4", "b.mp4", wanted=("x", "x"))


def test_a_folder_stands_for_its_videos_in_order(tmp_path: Path) -> None:
    for name in ("b.MP4", "a.mkv", "notes.txt", "._a.mkv"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "deeper.mp4").mkdir()
    assert ids(str(tmp_path), "0", wanted=("first",)) == ["first", "b", "camera0"]


@given(st.text())
def test_any_text_becomes_a_name_of_the_wire(text: str) -> None:
    assert wire.name(sanitised(text))


@given(st.lists(st.sampled_from(["a", "a-2", "b", "x" * 128]), max_size=12))
def test_assigned_ids_are_unique_names(defaults: list[str]) -> None:
    assigned = assign_ids(defaults, [])
    assert len(set(assigned)) == len(defaults)
    assert all(wire.name(source_id) for source_id in assigned)
