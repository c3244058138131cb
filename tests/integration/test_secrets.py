"""No password comes out of a running system: not in what it prints, keeps, serves or is called."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from contract.keys import Keys
from tests.integration.acl_server import ROLES, AclServer
from tests.integration.clips import write_video
from tests.integration.processes import REPOSITORY, RoleProcess
from tests.integration.test_emotion_up import Up, scratch  # noqa: F401  (a fixture)
from tests.ports import free_port

WaitUntil = Callable[..., None]
KEYS = Keys()
FRAMES = 50
PASSWORD, TOKEN = "geheim/p@ss", "geheim-token"
ENCODED = "geheim%2Fp%40ss"


class _Camera(SimpleHTTPRequestHandler):
    """Files of a folder, for whoever has the password."""

    def do_GET(self) -> None:
        expected = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {expected}":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="camera"')
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class)
        pass


@contextmanager
def camera(folder: Path) -> Iterator[str]:
    """URL of a camera that wants a password, with it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Camera, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://me:{ENCODED}@127.0.0.1:{server.server_port}/clip.mkv?token={TOKEN}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("camera")
    write_video(folder / "clip.mkv", range(0, FRAMES * 20, 20))
    return folder


def assert_holds_none(texts: dict[str, bytes], secrets: list[str]) -> None:
    found = [(where, secret) for where, text in texts.items() for secret in secrets
             if secret.encode() in text]  # fmt: skip
    assert found == []


def metrics(role: RoleProcess) -> bytes:
    with urllib.request.urlopen(f"{role.log('serving metrics')['url']}/metrics") as reply:
        body: bytes = reply.read()
    return body


def test_no_password_comes_out_of_a_running_system(
    folder: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    with AclServer("valkey", tmp_path) as acl, camera(folder) as url:
        absent = url.replace(url.split(":")[3].partition("/")[0], str(free_port()))
        cameras = tmp_path / "secrets" / "cameras"
        cameras.write_text(f"{url}\n{absent}\n{absent.replace('http', 'rtsp')}\n")
        more = {"EMOTION_SOURCE_FILE": str(cameras), "EMOTION_LOG_LEVEL": "debug"}
        outputs = tmp_path / "outputs"
        outputs.mkdir()
        service = ("--metrics-port", "0")

        def role(user: str, module: str, *flags: str) -> RoleProcess:
            printed = outputs / f"{user}.stdout"
            return RoleProcess(
                module, *flags, stdout=printed, environment={**more, **acl.environment(user)}
            )

        acl.admin.xadd(KEYS.frames, {"m": b"no frame"})
        reading = ("--from", "beginning", "--format", "jsonl", "--records")
        record = ("--record", str(outputs / "recorded"), "--reconnect-max", "0.3")
        with (
            role("worker", "tests.paced_worker", *service) as worker,
            role("consumer", "consumer", *reading) as consumer,
            role("producer", "producer", *service, *record) as producer,
        ):
            roles = {"worker": worker, "consumer": consumer, "producer": producer}
            printed = outputs / "consumer.stdout"
            wait_until(lambda: printed.read_text().count('"frame"') >= FRAMES)
            wait_until(lambda: sum("***@" in line for line in list(producer.lines)) >= 2)
            texts = {
                f"command line of {name}": " ".join(psutil.Process(it.pid).cmdline()).encode()
                for name, it in roles.items()
            }
            texts["clients"] = str(acl.admin.client_list()).encode()
            texts |= {f"metrics of {name}": metrics(roles[name]) for name in ("worker", "producer")}
            for it in roles.values():
                it.send(signal.SIGTERM)
            for name, it in roles.items():
                it.wait()
                texts[f"log of {name}"] = "\n".join(it.lines).encode()
        for command in (
            ("consumer", "status"), ("consumer", "status", "--format", "json"),
            ("worker", "dead", "list", "--format", "json"), ("worker", "dead", "list"),
        ):  # fmt: skip
            done = subprocess.run(
                [sys.executable, "-m", *command],
                capture_output=True, cwd=REPOSITORY, timeout=60, env=acl.environment("operator"),
            )  # fmt: skip
            assert done.returncode == 0, done
            texts[" ".join(command)] = done.stdout + done.stderr
        # All that was ever written to Redis, in plain text.
        texts["append-only file"] = b"".join(
            path.read_bytes() for path in tmp_path.glob("appendonlydir/*")
        )
        texts |= {str(p): p.read_bytes() for p in outputs.rglob("*") if p.is_file()}
        secrets = [acl.password(name) for name in (*ROLES, "admin")]
    assert texts["log of producer"].count(b"***@127.0.0.1") >= 2  # of those that are not there
    assert b"no frame" in texts["append-only file"]
    assert any(name.endswith(".mkv") for name in texts)
    basic = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    assert_holds_none(texts, [*secrets, PASSWORD, ENCODED, TOKEN, "geheim", basic])


def test_no_password_comes_out_of_emotion_up(
    folder: Path,
    tmp_path: Path,
    scratch: Path,  # noqa: F811
    wait_until: WaitUntil,
) -> None:
    events, cameras = tmp_path / "events.jsonl", tmp_path / "cameras"
    with camera(folder) as url:
        cameras.write_text(url)
        flags = ("--source-file", cameras, "--events", events, "--log-level", "debug")
        with Up(scratch, *flags) as up:

            def has_played() -> bool:
                assert up.process.poll() is None or events.exists(), up.stderr
                return up.pid_of("producer") is not None

            wait_until(has_played, timeout_s=120)
            # The server's socket, and what its parts leave there, are this user's alone.
            folders = list(up.temporary.glob("emotion-*"))
            assert [path.stat().st_mode & 0o777 for path in folders] == [0o700]
            assert up.process.wait(120) == 0, up.stderr
            texts = {"stdout": up.stdout.encode(), "stderr": up.stderr.encode()}
            texts |= {f"process {pid}": words.encode() for pid, words in up.family().items()}
    texts["events"] = events.read_bytes()
    assert len(texts["events"].splitlines()) == FRAMES
    assert any("producer" in text.decode() for name, text in texts.items() if "process" in name)
    assert_holds_none(texts, [PASSWORD, ENCODED, TOKEN, "geheim"])
