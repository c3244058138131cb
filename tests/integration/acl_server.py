"""A server with the users of `deploy/redis/make_acl.py`, each with a secret file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from contract.connect import connect
from tests.integration.processes import REPOSITORY
from tests.integration.servers import Program, TroubledServer

MAKE_ACL = REPOSITORY / "deploy" / "redis" / "make_acl.py"
ROLES = ("producer", "worker", "consumer", "publisher", "operator", "view", "exporter")


def make_acl(folder: Path, *arguments: str) -> None:
    """Run the script as people do, in a Python without this project."""
    command = [sys.executable, "-I", str(MAKE_ACL), "--out", str(folder), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=30)


class AclServer:
    """A context manager, which starts it. `admin` may do all."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.secrets = folder / "secrets"
        self._users = self.secrets / "users.acl"
        self._server = TroubledServer(program, folder, "--aclfile", str(self._users))
        self.address = f"127.0.0.1:{self._server.port}"
        make_acl(self.secrets, "--server", f"redis://{self.address}")

    def file(self, role: str) -> Path:
        """What EMOTION_REDIS_FILE is for a role."""
        return self.secrets / f"{role}.url"

    def url(self, role: str) -> str:
        path = self.secrets / f"{role}.password"
        if path.exists():
            return f"redis://{role}:{path.read_text().strip()}@{self.address}"
        return self.file(role).read_text().strip()

    def password(self, role: str) -> str:
        return self.url(role).split(":")[2].partition("@")[0]

    def environment(self, role: str) -> dict[str, str]:
        """The environment of a role's process: no secret is in it."""
        return {"EMOTION_REDIS_FILE": str(self.file(role))}

    def client(self, role: str) -> redis.Redis:
        return connect(self.url(role), retries=0)

    def refusals(self) -> list[dict[str, Any]]:
        """What the server refused to any user."""
        rows: Any = self.admin.acl_log(128)
        return [{key: row[key] for key in ("username", "reason", "object")} for row in rows]

    def __enter__(self) -> AclServer:
        self._server.__enter__()
        self.admin = self.client("admin")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.admin.close()
        self._server.__exit__(kind, error, traceback)
