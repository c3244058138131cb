"""A Redis that won't have us, that we won't have, or that is not ready yet."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from contract.connect import connect
from contract.snapshot import read_snapshot
from tests.integration.clips import write_video
from tests.integration.processes import REPOSITORY
from tests.integration.servers import Program, TroubledServer
from tests.integration.system import BEGINS, ENDS, KEYS, System
from tests.ports import free_port

WaitUntil = Callable[..., None]
SERVERS: tuple[Program, ...] = ("valkey", "oldest_redis")
SECRET = "geheim"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of video, fifty frames."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", range(0, 1000, 20))


def assert_all_end_at_once(
    url: str, clip: Path, code: int, text: str, *, one: bool = False
) -> None:
    """Every command ends with this code and one line that holds this text. `one`: the quickest of
    them, where what the server says is new and not what our commands make of it."""
    commands = {
        "emotion-producer": ["producer", str(clip)],
        "emotion-worker": ["tests.paced_worker"],
        "emotion-events": ["consumer"],
        "emotion-events status": ["consumer", "status"],
    }
    if one:
        commands = {"emotion-events status": ["consumer", "status"]}
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", *command, "--redis", url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        for name, command in commands.items()
    }
    try:
        for name, process in started.items():
            stderr = process.communicate(timeout=60)[1]
            assert (process.returncode, stderr.count("\n")) == (code, 1), stderr
            assert stderr.startswith(f"{name}: ")
            assert text in stderr
            assert SECRET not in stderr
    finally:
        for process in started.values():
            process.kill()


# At the start


@pytest.mark.parametrize("program", SERVERS)
def test_credentials_that_are_wrong_or_not_enough_are_the_users_to_correct(
    program: Program, clip: Path, tmp_path: Path
) -> None:
    options = ("--requirepass", "right", "--user", "guest", "on", f">{SECRET}", "~*", "-@all")
    with TroubledServer(program, tmp_path, *options) as server:
        address = f"127.0.0.1:{server.port}"
        refused = f"{address} refused us: "
        wrong = f"redis://:{SECRET}@{address}"
        guest = f"redis://guest:{SECRET}@{address}"
        for url, said in (
            (server.url, f"{refused}Authentication required"),
            (wrong, f"***@{refused}invalid username-password pair"),
            (guest, "no permission"),
        ):
            assert_all_end_at_once(url, clip, 2, said, one=program == "valkey")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def tls_server(folder: Path, authority: trustme.CA, host: str) -> Iterator[TroubledServer]:
    """Debian's redis-server (the embedded Valkey is built without TLS) with a certificate for
    `host`. Its `url` is that of its TLS port, without a path to an authority."""
    certificate = authority.issue_cert(host)
    key, chain, ca = folder / "key.pem", folder / "chain.pem", folder / "ca.pem"
    certificate.private_key_pem.write_to_path(key)
    certificate.cert_chain_pems[0].write_to_path(chain)
    authority.cert_pem.write_to_path(ca)
    port = free_port()
    options = (
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(chain), "--tls-key-file", str(key), "--tls-ca-cert-file", str(ca)),
    )
    with TroubledServer("oldest_redis", folder, *options) as server:
        server.url = f"rediss://:{SECRET}@127.0.0.1:{port}"
        server.client.config_set("requirepass", SECRET)
        yield server


def trusting(server: TroubledServer, folder: Path, authority: trustme.CA) -> str:
    path = folder / "trusted.pem"
    authority.cert_pem.write_to_path(path)
    return f"{server.url}?ssl_ca_certs={path}"


def test_all_roles_speak_tls(
    authority: trustme.CA, clip: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    with tls_server(tmp_path, authority, "127.0.0.1") as server:
        url = trusting(server, tmp_path, authority)
        with connect(url) as client, System(url, clip, tmp_path) as system:
            wait_until(lambda: len(system.read("reader")) > 20)
            wait_until(lambda: len(system.read("group")) > 20)
            for name in ("producer", "worker", "reader", "group"):
                system.end(name)
            assert read_snapshot(client, KEYS).unaccounted == 0
        assert not any(system.said(SECRET).values())


def test_a_certificate_that_is_not_to_be_trusted_is_refused(
    authority: trustme.CA, clip: Path, tmp_path: Path
) -> None:
    with tls_server(tmp_path, authority, "127.0.0.1") as server:
        strange = trusting(server, tmp_path, trustme.CA())
        assert_all_end_at_once(strange, clip, 2, "certificate verify failed")
        assert_all_end_at_once(server.url, clip, 2, "certificate verify failed", one=True)


def test_a_certificate_for_another_host_is_refused(
    authority: trustme.CA, clip: Path, tmp_path: Path
) -> None:
    with tls_server(tmp_path, authority, "elsewhere.example") as server:
        url = trusting(server, tmp_path, authority)
        assert_all_end_at_once(url, clip, 2, "certificate is not valid for '127.0.0.1'")


def test_with_tls_on_one_side_only_the_line_says_so(
    authority: trustme.CA, clip: Path, tmp_path: Path
) -> None:
    with tls_server(tmp_path, authority, "127.0.0.1") as server:
        plain = server.url.replace("rediss://", "redis://")
        assert_all_end_at_once(plain, clip, 1, "(a server with TLS wants rediss://)")
        tls = f"rediss://127.0.0.1:{server.port}"
        assert_all_end_at_once(tls, clip, 1, "(a server without TLS wants redis://)")


# While everything runs


def take_password(server: TroubledServer) -> None:
    server.client.config_set("requirepass", "new")
    server.client.auth("new")
    server.kill_connections()  # who is connected may stay


def take_rights(server: TroubledServer) -> None:
    server.client.execute_command("ACL", "SETUSER", "app", "-@all")


@pytest.mark.parametrize("program", SERVERS)
@pytest.mark.parametrize(
    ("take", "user", "why"),
    [
        (take_password, "", "uthentica"),
        (take_rights, f"app:{SECRET}@", "permission"),
    ],
)
def test_access_that_is_taken_away_ends_every_role(
    program: Program,
    take: Callable[[TroubledServer], None],
    user: str,
    why: str,
    clip: Path,
    tmp_path: Path,
    wait_until: WaitUntil,
) -> None:
    options = ("--user", "app", "on", f">{SECRET}", "~*", "+@all")
    with TroubledServer(program, tmp_path, *options) as server:
        url = f"redis://{user}127.0.0.1:{server.port}"
        shown = url.replace(f"app:{SECRET}", "***")
        with System(url, clip, tmp_path) as system:
            wait_until(lambda: bool(system.read("reader") and system.read("group")))
            take(server)
            for name, role in system.roles.items():
                assert role.wait() == 2, name
                (line,) = [line for line in role.lines if not line.startswith("{")]
                assert shown in line
                assert "Redis refused: " in line
                assert why in line
                assert not any(SECRET in each for each in role.lines)


# Not ready yet


@contextmanager
def loading(server: TroubledServer) -> Iterator[None]:
    """It takes half a minute to load its data, or as long as this block."""
    for number in range(300):
        server.client.set(f"ballast:{number}", os.urandom(4096))
    server.client.bgrewriteaof()
    while server.client.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.01)
    server.kill()
    server.start("--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024")
    yield
    server.client.config_set("key-load-delay", 0)


@contextmanager
def too_many_clients(server: TroubledServer) -> Iterator[None]:
    server.client.config_set("maxclients", 1)
    yield
    server.client.config_set("maxclients", 1000)


@pytest.mark.parametrize("program", SERVERS)
@pytest.mark.parametrize("state", [loading, too_many_clients])
def test_a_server_that_is_there_but_not_ready_is_waited_for(
    program: Program,
    state: Callable[[TroubledServer], object],
    clip: Path,
    tmp_path: Path,
    wait_until: WaitUntil,
) -> None:
    with TroubledServer(program, tmp_path) as server:
        with state(server):  # type: ignore[attr-defined]
            system = System(server.url, clip, tmp_path)
            wait_until(lambda: set(system.said(BEGINS).values()) == {1}, what="all wait")
        with system:
            wait_until(lambda: set(system.said(ENDS).values()) == {1}, what="all go on")
            wait_until(lambda: len(system.read("reader")) > 20)
            wait_until(lambda: len(system.read("group")) > 20)
            assert set(system.said(BEGINS).values()) == {1}
            for name in ("producer", "worker", "reader", "group"):
                system.end(name)
        assert read_snapshot(server.client, KEYS).unaccounted == 0
