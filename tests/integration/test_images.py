"""The images' own install script, run without a container, and a system made of what it installs.

Only the small ones by default: the others download hundreds of megabytes. `make images` tries all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

from contract.keys import Keys
from tests.images import Images, Installed, NotInstalled, publish_clip, running, settle_frames

SMALL = ("consumer", "view")
LIGHT = ("producer", "worker-cpu", *SMALL)
ALL = "EMOTION_TEST_IMAGES" in os.environ
needs_all = pytest.mark.skipif(not ALL, reason="`make images` runs it")
_UNREACHABLE = ("NewConnectionError", "Temporary failure", "Read timed out", "Max retries")

pytestmark = pytest.mark.timeout(600)  # it downloads 400 MB where pip has nothing in its cache


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Installed]]:
    if find_spec("pip") is None:
        pytest.skip("needs pip in the tests' own environment")
    try:
        installer = Images(tmp_path_factory.mktemp("images"))
        yield {target: installer.install(target) for target in (LIGHT if ALL else SMALL)}
    except NotInstalled as error:
        if not os.environ.get("CI") and any(word in str(error) for word in _UNREACHABLE):
            pytest.skip("needs PyPI")
        raise


def test_each_image_holds_what_its_role_needs_and_nothing_heavy_besides(
    images: dict[str, Installed],
) -> None:
    expected = {
        "producer": ("producer", {"openvino", "tensorflow", "keras"}),
        "worker-cpu": ("worker", {"av", "tensorflow", "keras"}),
        "consumer": ("consumer", {"numpy", "cv2", "av", "openvino", "tensorflow", "keras"}),
        "view": ("consumer", {"numpy", "cv2", "av", "openvino", "tensorflow", "keras"}),
    }
    for target, made in images.items():
        role, absent = expected[target]
        assert made.lacks() == absent
        packages = {path.name for path in made.roles.iterdir() if (path / "__init__.py").exists()}
        assert packages == {"contract", role}
        assert "emotion-stream 0.1.0" in (made.roles / "LICENCES.txt").read_text("utf-8")
        commands = sorted(path.name for path in (made.roles / "bin").iterdir())
        assert commands
        if target == "consumer":  # the page's command is there, and says what it needs
            commands.remove("emotion-view")
        for command in commands:
            assert made.run(command, "--help").startswith(f"usage: {command}")


@needs_all
def test_a_system_of_images(images: dict[str, Installed], redis_url: str, tmp_path: Path) -> None:
    frames = publish_clip(images["producer"], redis_url)
    assert frames > 10
    # Whether this CPU is fast at int8 or not, the shipped networks need no TensorFlow.
    settle_frames(images["worker-cpu"], redis_url, "--precision", "int8", "--cache", str(tmp_path))
    lines = images["consumer"].run(
        "emotion-events", "--from", "beginning", "--format", "jsonl", "--count", str(frames),
        "--idle", "20", "--redis", redis_url,
    ).splitlines()  # fmt: skip
    assert sum(1 for line in lines if json.loads(line)["faces"]) > frames / 2

    with running(images["view"], "emotion-view", "--port", "0", "--redis", redis_url) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        probe = ("python", "-m", "contract.process.probe")
        images["view"].run(*probe, address)
        with pytest.raises(NotInstalled, match="expected 418, got 200"):
            images["view"].run(*probe, address, "418")


@needs_all
def test_a_network_that_is_not_converted_asks_for_what_it_needs(
    images: dict[str, Installed], redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    redis_client.xadd(Keys().frames, {b"m": b"never read"})
    wanted = r"(?s)exit code 2.*not converted .* needs keras and tensorflow"
    with pytest.raises(NotInstalled, match=wanted):
        settle_frames(
            images["worker-cpu"], redis_url, "--precision", "float32", "--cache", str(tmp_path)
        )
