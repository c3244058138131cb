"""What `emotion-worker check` asks for is what deploy/redis/make_acl.py gives, right by right."""

from __future__ import annotations

import importlib.util
import re
import sys

from contract.keys import Keys
from tests.conftest import REPOSITORY
from worker.check.rights import needed

MAKE_ACL = REPOSITORY / "deploy" / "redis" / "make_acl.py"
_SELECTOR = re.compile(r"\(([^)]*)\)")
_CALLS = ("EVAL", "EVALSHA", "EVALSHA_RO")  # tried by the question itself


def given() -> set[tuple[str, str]]:
    """Command and key of each right of the worker's user, in partition 0."""
    spec = importlib.util.spec_from_file_location("make_acl", MAKE_ACL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_acl"] = module
    spec.loader.exec_module(module)
    (worker,) = (user for user in module.read_template("emotion") if user.name == "worker")
    found = set()
    for selector in _SELECTOR.findall(worker.rules):
        words = selector.split()
        keys = [word.partition("~")[2].replace("{*}", "{0}") for word in words if "~" in word]
        commands = [word[1:].upper() for word in words if word.startswith("+")]
        found |= {(command, key) for command in commands for key in keys}
    found |= {(word[1:].upper(), "") for word in ("+time", "+info") if word in worker.rules}
    return {(command, key) for command, key in found if command not in _CALLS}


def asked() -> set[tuple[str, str]]:
    found = set()
    for right in needed(Keys()):
        sub = f"|{right.words[1]}" if right.words[0] in ("XGROUP", "XINFO") else ""
        found |= {(f"{right.words[0]}{sub}", key) for key in right.key.split(", ")}
    return found


def test_all_of_them_are_asked_for_and_no_others() -> None:
    assert asked() == given()
