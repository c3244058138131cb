"""deploy/images/audit.sh by the real pip-audit, which asks a database on loopback.

The real ones (PyPI's, OSV) may be out of reach where tests run, and change every day.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from tests.conftest import REPOSITORY, optional_tool
from tests.unit.test_image_files import read_lock

IMAGES = REPOSITORY / "deploy" / "images"


class _Database(BaseHTTPRequestHandler):
    """What OSV answers: nothing is known, but of `bad`; remembers who was asked for."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[set[tuple[str, str]]]
    bad: ClassVar[str]

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = query["package"]["name"]
        self.asked.add((name, query["version"]))
        known = {"id": "PYSEC-0", "affected": [{"package": query["package"]}]}
        body = json.dumps({"vulns": [known]} if name == self.bad else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def database(bad: str) -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """Its address, and (package, version) of each question so far."""
    asked: set[tuple[str, str]] = set()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (_Database,), {"asked": asked, "bad": bad})
    )
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def audit(url: str, cache: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("pip-audit", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    folder = Path(optional_tool("pip-audit", program)).parent
    flags = ["--vulnerability-service", "osv", "--osv-url", url, "--cache-dir", str(cache)]
    return subprocess.run(
        [IMAGES / "audit.sh", *flags],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
    )


def test_every_pinned_package_is_looked_up_and_one_vulnerability_fails(tmp_path: Path) -> None:
    with database(bad="msgpack") as (url, asked):
        done = audit(url, tmp_path)
    locks = sorted((IMAGES / "locks").glob("*.txt"))
    assert asked == {pin for lock in locks for pin in read_lock(lock.stem).items()}
    assert done.returncode == 1
    assert "Found 1 known vulnerability in 1 package" in done.stderr
    assert "msgpack" in done.stdout and "PYSEC-0" in done.stdout
    assert "lock.sh --upgrade-package" in done.stderr


def test_a_database_out_of_reach_is_no_clean_bill(tmp_path: Path) -> None:
    with database(bad="") as (url, _):
        pass
    done = audit(url, tmp_path)
    assert done.returncode == 1
    assert "NOT audited" in done.stderr
