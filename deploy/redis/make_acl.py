"""Make the users of a Redis or Valkey server, one for each role, and a secret file for each.

    python deploy/redis/make_acl.py --out secrets --server redis://10.0.0.5:6379

writes, in a folder that only you can enter,

    users.acl        for the server: redis-server --aclfile users.acl; it holds hashes only
    ROLE.url         for a role: EMOTION_REDIS_FILE=secrets/ROLE.url
    NAME.password    for admin and exporter, which other programs use: REDISCLI_AUTH and the like

Secrets that are there are kept, so run it again after a change of address, prefix or rules. To
change a password remove its file, run it again, then ACL LOAD (as admin) and start the role again.

It needs nothing but Python.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

TEMPLATE = Path(__file__).with_name("users.acl.in")
OTHER_PROGRAMS = ("admin", "exporter")  # they take a password apart from an address
SERVER = "redis://127.0.0.1:6379"

# Letters, digits and what no pattern of Redis gives a meaning to.
_PREFIX = re.compile(r"[\w.:-]{1,128}")
_SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")

# Rules that several users share.
_SHARED = {
    # CLIENT SETINFO and the like are named by their category, because Redis 7.0 knows no such
    # command and takes no list that names it. SELECT would reach systems in other databases.
    "ROLE": "+@connection -@dangerous -select -client|tracking +info +cluster|slots",
    "READER": "(+hmget %R~PREFIX:config) "
    "(+eval_ro +evalsha_ro %R~PREFIX:{*}:events) "
    "(+xread +xrange +xrevrange +xlen +xinfo|stream %R~PREFIX:{*}:events) "
    "(+xread +xrange +xrevrange +xlen %R~PREFIX:{*}:smoothed)",
    "GROUP": "(+eval +evalsha %RW~PREFIX:{*}:events) "
    "(+xreadgroup +xack +xclaim +xpending +xrange +xinfo|stream +xinfo|groups +xinfo|consumers "
    "+xgroup|create +xgroup|setid +xgroup|delconsumer %RW~PREFIX:{*}:events)",
    # contract/snapshot.lua. The rights to call it are no rights to read what it is called with.
    "SNAPSHOT": "(+eval_ro +evalsha_ro %R~PREFIX:{*}:stats %R~PREFIX:{*}:fence "
    "%R~PREFIX:{*}:frames %R~PREFIX:{*}:dead %R~PREFIX:{*}:events) "
    "(+exists +xlen +xinfo|groups +xinfo|consumers %R~PREFIX:{*}:frames) "
    "(+xlen %R~PREFIX:{*}:dead %R~PREFIX:{*}:events) "
    "(+hgetall %R~PREFIX:{*}:stats %R~PREFIX:{*}:fence)",
}


class Refused(Exception):
    """What was asked for cannot be done; the message says why, without a secret."""


@dataclass(frozen=True, slots=True)
class User:
    """`rules` are those of the template; one without any can do nothing."""

    name: str
    rules: str

    def line(self, password: str | None) -> str:
        """Its line of users.acl."""
        if password is None:
            return f"user {self.name} off resetchannels -@all"
        digest = hashlib.sha256(password.encode()).hexdigest()
        return f"user {self.name} on #{digest} resetchannels -@all {self.rules}"

    def file(self, folder: Path) -> Path:
        """Where its secret is kept."""
        return folder / f"{self.name}.{'password' if self.name in OTHER_PROGRAMS else 'url'}"


def read_template(prefix: str) -> Iterator[User]:
    """The users of users.acl.in for a system with this prefix; `default` has no rules."""
    if not _PREFIX.fullmatch(prefix):
        raise Refused(f"--prefix: expected letters, digits and . _ : -, got {prefix!r}")
    name, rules = "", ""
    lines = TEMPLATE.read_text("utf-8").splitlines()
    for line in [*(line for line in lines if line.strip() and line[0] != "#"), "user"]:
        if not line.startswith("user"):
            rules += f" {line.strip()}"
            continue
        if name:
            for shared, text in _SHARED.items():
                rules = rules.replace(f" {shared}", f" {text}")
            yield User(name, rules.strip().replace("PREFIX", prefix))
        name, _, rules = line.removeprefix("user").strip().partition(" ")


def password_in(user: User, folder: Path) -> str:
    """The password of a user, from its file or made up: 256 random bits.

    So many that one round of SHA-256, which is all that Redis does, hides them.
    """
    path = user.file(folder)
    try:
        text = path.read_text("utf-8").strip()
    except FileNotFoundError:
        return secrets.token_urlsafe(32)
    if user.name in OTHER_PROGRAMS:
        return text
    password = urlsplit(text.split(",")[0]).password
    if not password:
        raise Refused(f"{path}: expected a URL with user and password; remove the file")
    return password


def url_of(server: str, user: str, password: str) -> str:
    """`server` with user and password."""
    scheme, separator, rest = server.partition("://")
    if not separator or scheme not in _SCHEMES or "@" in rest.partition("?")[0]:
        expected = ", ".join(f"{known}://" for known in _SCHEMES)
        raise Refused(f"--server: expected one of {expected} and an address without user, password")
    return f"{scheme}://{user}:{password}@{rest}"


def write_private(path: Path, text: str) -> None:
    """Put `text` in place of what is there, at once, readable by its owner only from the start.

    A link is replaced, never followed.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    number = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def make(folder: Path, server: str, prefix: str) -> list[Path]:
    """Write all files; returns them."""
    users = list(read_template(prefix))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines, written = [], []
    for user in users:
        if user.name == "default":
            lines.append(user.line(None))
            continue
        password = password_in(user, folder)
        lines.append(user.line(password))
        is_others = user.name in OTHER_PROGRAMS
        secret = password if is_others else url_of(server, user.name, password)
        write_private(user.file(folder), f"{secret}\n")
        written.append(user.file(folder))
    # Last: a server that finds it finds everything.
    write_private(folder / "users.acl", "\n".join(lines) + "\n")
    return [*written, folder / "users.acl"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for all files")
    parser.add_argument(
        "--server", default=SERVER, metavar="URL", help=f"address, by default {SERVER}"
    )
    parser.add_argument("--prefix", default="emotion", help="of the system's keys")
    arguments = parser.parse_args(argv)
    try:
        for path in make(arguments.out, arguments.server, arguments.prefix):
            print(path)
    except Refused as error:
        print(f"make_acl.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"make_acl.py: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
