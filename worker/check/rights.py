"""What a worker must be allowed to do in Redis, and whether its user is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.connect import REFUSED, explained, is_lasting
from contract.errors import AccessDenied
from contract.keys import Keys, config_key
from contract.redact import redacted
from contract.script import Script
from worker.check.row import Row, failed, ok

if TYPE_CHECKING:
    import redis

# The commands on each key: those of the worker's scripts, which Redis checks one by one, and those
# it gives itself. KEY stands for the key.
COMMANDS = {
    "config": ("HMGET KEY f", "HSETNX KEY f v"),
    "frames": (
        "XREADGROUP GROUP g c STREAMS KEY >", "XAUTOCLAIM KEY g c 0 0", "XCLAIM KEY g c 0 0-1",
        "XACK KEY g 0-1", "XDEL KEY 0-1", "XPENDING KEY g", "XRANGE KEY - +",
        "XGROUP CREATE KEY g 0", "XGROUP DELCONSUMER KEY g c", "EXISTS KEY", "XLEN KEY",
        "XINFO GROUPS KEY", "XINFO CONSUMERS KEY g",
    ),
    "events": ("XADD KEY * m x", "XLEN KEY"),
    "dead": ("XADD KEY * m x", "XDEL KEY 0-1", "XRANGE KEY - +", "XLEN KEY"),
    "stats": ("HGET KEY f", "HSET KEY f v", "HINCRBY KEY f 1", "HGETALL KEY"),
    "attempts": ("HGET KEY f", "HSET KEY f v", "HDEL KEY f"),
    "reporter": ("GET KEY", "SET KEY v", "DEL KEY"),
    "fence": ("HGETALL KEY",),
    "": ("TIME", "INFO"),
}  # fmt: skip
_OF_SCRIPTS = ("frames", "events", "dead", "stats", "attempts", "reporter")
_OF_SNAPSHOT = ("stats", "fence", "frames", "dead", "events")
MAKE_USERS = (
    "give it the user worker, or make its users anew and load them: deploy/redis/make_acl.py, then "
    "ACL LOAD"
)


@dataclass(frozen=True, slots=True)
class Right:
    """One command on one key; `words` are those of a whole command."""

    words: tuple[str, ...]
    key: str

    def __str__(self) -> str:
        name = " ".join(self.words[:2]) if self.words[0] in ("XGROUP", "XINFO") else self.words[0]
        return f"{name} on {self.key}" if self.key else name


def needed(keys: Keys) -> Iterator[Right]:
    """All rights that a worker needs in a partition, but for those to call scripts at all."""
    for name, commands in COMMANDS.items():
        key = _key(keys, name)
        for command in commands:
            yield Right(tuple(key if word == "KEY" else word for word in command.split()), key)
    names = [_key(keys, name) for name in _OF_SNAPSHOT]
    yield Right(("EVAL_RO", "return 1", str(len(names)), *names), ", ".join(names))


def look_at_rights(client: redis.Redis, url: str, partitions: Sequence[Keys]) -> Row:
    """Whether this user may do all of it. Nothing is done, and nothing left behind.

    Raises `BrokerError` where it cannot be asked.
    """
    ask = Script(client, "worker.check", "rights")
    missing: list[str] = []
    asked = 0
    for keys in partitions:
        names = [_key(keys, name) for name in _OF_SCRIPTS]
        rights = list(needed(keys))
        asked += len(rights)
        words = [str(word) for right in rights for word in (len(right.words), *right.words)]
        with explained(url):
            try:
                answers = ask(keys=names, args=words)
            except REFUSED as error:
                if not is_lasting(error):
                    raise
                missing.append(f"EVAL and EVALSHA on {', '.join(names)}")
                continue
        missing += [str(right) for right, may in zip(rights, answers, strict=True) if not may]
    if missing:
        rest = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        said = f"this user may not {', '.join(dict.fromkeys(missing[:5]))}{rest}"
        return failed("rights", AccessDenied(f"{redacted(url)}: {said}"), MAKE_USERS)
    return ok("rights", f"all {asked} that a worker needs")


def _key(keys: Keys, name: str) -> str:
    if name == "config":
        return config_key(keys.prefix)
    return str(getattr(keys, name)) if name else ""
