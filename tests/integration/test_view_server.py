"""The live view over HTTP: what it shows, to whom, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from consumer.view.live import LiveView
from contract.connect import connect
from contract.errors import UsageError
from contract.keys import partition_of
from tests.integration.hand_camera import Camera, jpeg
from tests.integration.pages import Page, get, get_frame
from tests.integration.processes import RoleProcess
from tests.integration.redis_cluster import Cluster
from tests.integration.servers import TroubledServer
from tests.integration.sources import source_in

TOKEN = "0123456789abcdef-_~."


def source(state: dict[str, Any], name: str = "cam") -> dict[str, Any]:
    found: dict[str, Any] = next((item for item in state["sources"] if item["name"] == name), {})
    return found


@pytest.fixture
def view(redis_url: str) -> Iterator[LiveView]:
    with LiveView(redis_url, port=0) as running:
        yield running


@pytest.fixture
def camera(redis_client: redis.Redis) -> Camera:
    return Camera(redis_client)


def test_a_page_sees_a_person_with_the_picture_that_belongs_to_the_boxes(
    view: LiveView, camera: Camera
) -> None:
    with Page(view.port) as page, camera.running():
        state = page.until(lambda state: (source(state).get("picture") or {}).get("people"))
        picture = source(state)["picture"]
        (person,) = picture["people"]
        assert person["label"] == "happiness"
        assert person["track"] >= 1
        assert picture["size"] == [64, 48]
        got = get_frame(view.port, picture["id"])
        assert (got.status, got.headers["Content-Type"]) == (200, "image/jpeg")
        assert got.body == jpeg(int(picture["id"].rpartition("/")[2]) % 256)
        assert source(state)["state"] == "up"
        assert state["redis"] == {"state": "up"}


def test_the_picture_goes_on_and_no_faster_than_asked(
    redis_url: str, redis_client: redis.Redis
) -> None:
    camera = Camera(redis_client)
    with LiveView(redis_url, port=0, fps=2.0) as view, Page(view.port) as page, camera.running():
        seen: dict[str, float] = {}

        def is_enough(state: dict[str, Any]) -> bool:
            if picture := source(state).get("picture"):
                seen.setdefault(picture["id"], time.monotonic())
            return len(seen) == 5

        page.until(is_enough)
    times = sorted(seen.values())
    assert times[-1] - times[0] >= 4 * 0.5 - 0.4, "four pauses, less what the first one waited"


def test_frames_and_counts_are_only_asked_for_while_a_page_is_open(
    view: LiveView, redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    def connections() -> int:
        clients: Any = redis_client.client_list()
        return len(clients)

    with connect(redis_url) as client, Camera(client).running():
        always = 5  # of two fixtures, of the camera, of the view for the events and the layout
        wait_until(lambda: connections() == always, what="nobody looks")
        for _ in range(2):
            with Page(view.port):
                wait_until(lambda: connections() >= always + 2, what="both are there")
            wait_until(lambda: connections() == always, what="both have let go")


def pictured(view: LiveView, client: redis.Redis) -> int:
    """How many of six sources in three partitions are seen."""
    cameras = [Camera(client, f"cam{number}", partitions=3) for number in range(6)]
    assert {partition_of(camera.name, 3) for camera in cameras} == {0, 1, 2}
    pictures: set[str] = set()
    deadline_s = time.monotonic() + 30
    with view, Page(view.port) as page:
        while len(pictures) < 6 and time.monotonic() < deadline_s:
            for camera in cameras:
                camera.shoot()
            state = page.next()
            assert state is not None
            pictures |= {item["name"] for item in state["sources"] if item["picture"]}
    return len(pictures)


def test_sources_of_all_partitions_are_shown(redis_url: str, redis_client: redis.Redis) -> None:
    assert pictured(LiveView(redis_url, port=0), redis_client) == 6


def test_partitions_that_come_while_a_page_is_open_are_shown(
    redis_url: str, redis_client: redis.Redis
) -> None:
    with LiveView(redis_url, port=0) as view, Page(view.port) as page:
        early = Camera(redis_client, "cam0")
        with early.running():
            page.until(lambda state: source(state, "cam0").get("picture"))
        late = source_in(2, 3)
        with Camera(redis_client, late, partitions=3).running():
            page.until(lambda state: source(state, late).get("picture"))


def test_a_camera_that_is_lost_and_a_file_that_is_over_are_told_from_one_that_is_up(
    view: LiveView, camera: Camera
) -> None:
    with Page(view.port) as page:
        camera.record("started")
        with camera.running():
            state = page.until(lambda state: source(state).get("people"))
        assert source(state)["state"] == "up"
        camera.record("offline")
        state = page.until(lambda state: source(state).get("state") == "offline")
        assert source(state)["for"] < 30
        assert source(state)["people"] == []
        camera.record("started", "s2")
        page.until(lambda state: source(state).get("state") == "up")
        camera.record("ended", "s2")
        page.until(lambda state: source(state).get("state") == "ended")


def test_a_name_of_any_letters_has_its_picture(view: LiveView, redis_client: redis.Redis) -> None:
    name = "로비?#%2F&..카메라"
    camera = Camera(redis_client, name)
    with Page(view.port) as page, camera.running():
        state = page.until(lambda state: source(state, name).get("picture"))
        assert get_frame(view.port, source(state, name)["picture"]["id"]).status == 200


def test_a_page_that_does_not_read_costs_no_memory_and_goes_on_with_the_newest(
    view: LiveView, redis_client: redis.Redis
) -> None:
    cameras = [Camera(redis_client, f"cam{number}") for number in range(40)]

    def shoot() -> None:
        for camera in cameras:
            camera.shoot()

    with Page(view.port) as slow, Page(view.port) as fast:
        while len((fast.next() or {})["sources"]) < 40:
            shoot()
        before = fast.count
        while fast.count < before + 100:  # ten seconds' worth of states, some megabytes
            shoot()
            fast.next()
        last = Camera(redis_client, "last")
        last.record("started")
        fast.until(lambda state: source(state, "last"))
        slow.until(lambda state: source(state, "last"))
        assert slow.count < fast.count / 2


def test_redis_may_come_later_and_go_away_and_the_page_says_so(tmp_path: Path) -> None:
    server = TroubledServer("valkey", tmp_path)
    with LiveView(server.url, port=0) as view, Page(view.port) as page:
        page.until(lambda state: state["redis"]["state"] == "away")
        with server:
            page.until(lambda state: state["redis"]["state"] == "up")
            camera = Camera(server.client)
            with camera.running():
                page.until(lambda state: source(state).get("picture"))
            server.kill()
            page.until(lambda state: state["redis"]["state"] == "away")
            server.start()
            page.until(lambda state: state["redis"]["state"] == "up")
            before = source(page.next() or {}).get("picture")
            with Camera(server.client).running():
                page.until(lambda state: source(state).get("picture") not in (None, before))


def test_every_answer_forbids_what_the_page_does_not_need(view: LiveView) -> None:
    for path in ("/", "/main.js", "/view.css", "/icon.svg", "/frame?id=x", "/nothing"):
        headers = get(view.port, path).headers
        assert headers["Content-Security-Policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "server" not in headers
    assert get(view.port, "/main.js").headers["Content-Type"].startswith("text/javascript")
    assert get(view.port, "/../settings.py").status == 404
    assert get(view.port, "/", method="POST").status == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("evil.example:8080", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:80", 421),
        ("", 421),
    ],
)
def test_only_this_machines_own_names_are_answered(view: LiveView, host: str, status: int) -> None:
    assert get(view.port, "/", {"Host": host}).status == status


def test_another_sites_page_cannot_use_it(view: LiveView) -> None:
    cross = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert get(view.port, "/frame?id=x", cross).status == 403
    assert get(view.port, "/events", {**cross, "Sec-Fetch-Site": "same-site"}).status == 403
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert get(view.port, "/", followed).status == 200


def test_whoever_has_the_token_once_gets_in_and_nobody_else(redis_url: str) -> None:
    with LiveView(redis_url, host="0.0.0.0", port=0, token=TOKEN) as view:
        assert view.address.endswith(f"/?token={TOKEN}")
        assert TOKEN not in view.url
        for path in ("/", "/events", "/main.js", "/frame?id=x", f"/?token={TOKEN}x", "/?token="):
            assert get(view.port, path).status == 401, path
        answer = get(view.port, f"/?token={TOKEN}")
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        name, _, value = cookie.partition(";")[0].partition("=")
        assert get(view.port, "/", {"Cookie": f"other=1; {name}={value}"}).status == 200
        assert get(view.port, "/", {"Cookie": f"{name}={value}x"}).status == 401
        with Page(view.port, {"Cookie": f"{name}={value}"}) as page:
            assert page.next() is not None


def test_beyond_this_machine_a_token_is_made_up(redis_url: str) -> None:
    with (
        LiveView(redis_url, host="0.0.0.0", port=0) as one,
        LiveView(redis_url, host="0.0.0.0", port=0) as two,
    ):
        tokens = {view.address.partition("?token=")[2] for view in (one, two)}
        assert len(tokens) == 2
        assert all(len(token) >= 32 for token in tokens)
        assert get(one.port, "/").status == 401


def test_arguments_that_cannot_be_used_are_named(redis_url: str) -> None:
    with pytest.raises(UsageError, match=r"--token: expected 16 to 128 letters") as refused:
        LiveView(redis_url, port=0, token="short secret")
    assert "short secret" not in str(refused.value)
    with pytest.raises(UsageError, match=r"--host nowhere\.invalid: "):
        LiveView(redis_url, host="nowhere.invalid", port=0)
    with pytest.raises(UsageError, match="expected redis://"):
        LiveView("http://here", port=0)


def test_a_token_that_cannot_be_one_is_not_shown(redis_url: str) -> None:
    bad = {"EMOTION_TOKEN": "s3cret"}
    with RoleProcess("consumer.view", "--redis", redis_url, environment=bad) as role:
        assert role.wait() == 2
    (line,) = role.lines
    said = "emotion-view: EMOTION_TOKEN: expected 16 to 128 letters, digits and . _ ~ -;"
    assert line.startswith(said) and "s3cret" not in line


def test_a_port_in_use_is_named(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with RoleProcess("consumer.view", "--redis", redis_url, "--port", str(port)) as role:
            assert role.wait() == 2
        assert role.lines[-1] == (
            f"emotion-view: --port {port}: Address already in use on 127.0.0.1"
        )


def test_an_address_of_another_machine_is_named(redis_url: str) -> None:
    with RoleProcess("consumer.view", "--redis", redis_url, "--host", "192.0.2.1") as role:
        assert role.wait() == 2
    assert role.lines[-1] == "emotion-view: --host 192.0.2.1: not an address of this machine"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_ends_at_once_though_pages_are_open(
    redis_url: str, number: signal.Signals, tmp_path: Path
) -> None:
    printed = tmp_path / "out"
    with RoleProcess("consumer.view", "--redis", redis_url, "--port", "0", stdout=printed) as role:
        url = role.log("ready")["url"]
        port = int(url.rstrip("/").rpartition(":")[2])
        assert printed.read_text() == f"{url}\n"
        with Page(port) as page, Page(port) as idle:
            assert page.next() is not None
            role.send(number)
            assert role.wait(10) == 0
            while page.next() is not None:
                pass
            del idle
    assert not [line for line in role.lines if json.loads(line)["level"] != "info"]


def test_the_token_is_printed_for_people_and_kept_out_of_the_log(
    redis_url: str, tmp_path: Path
) -> None:
    printed = tmp_path / "out"
    with RoleProcess(
        "consumer.view",
        *("--redis", redis_url, "--port", "0", "--host", "0.0.0.0"),
        stdout=printed,
        environment={"EMOTION_TOKEN": TOKEN},
    ) as role:
        role.log("ready")
        assert printed.read_text().rstrip().endswith(f"/?token={TOKEN}")
        role.send(signal.SIGTERM)
        assert role.wait(10) == 0
    assert TOKEN not in "\n".join(role.lines)


def test_a_wrong_password_ends_it_and_a_missing_redis_does_not(tmp_path: Path) -> None:
    with TroubledServer("valkey", tmp_path, "--requirepass", "right") as server:
        url = server.url.replace("redis://", "redis://:wrong@")
        with RoleProcess("consumer.view", "--redis", url, "--port", "0") as role:
            assert role.wait() == 2
        assert "wrong" not in "\n".join(role.lines).replace("wrong password", "")
    with RoleProcess("consumer.view", "--redis", "redis://127.0.0.1:1", "--port", "0") as role:
        role.log("waiting for redis")
        role.log("ready")


def test_it_reads_from_every_master_of_a_cluster(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    cluster = Cluster(tmp_path, wait_until)
    try:
        wait_until(lambda: cluster.is_whole, what="a whole cluster")
        with connect(cluster.url) as client:
            assert pictured(LiveView(cluster.url, port=0), client) == 6
    finally:
        cluster.close()
