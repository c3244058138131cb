"""deploy/redis/make_acl.py, as people run it, and its rules against what our scripts do."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contract.redact import redacted
from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "deploy" / "redis" / "make_acl.py"
NAMES = ["producer", "worker", "consumer", "publisher", "operator", "view"]

# Whose user calls a script; the others of a folder belong to the role it is called like.
CALLERS = {
    "contract/snapshot.lua": ["worker", "operator", "view"],
    "consumer/scripts/tail.lua": ["consumer", "publisher", "view"],
    "consumer/scripts/smoothed.lua": ["publisher"],
    "consumer/scripts/smoothed_end.lua": ["publisher"],
    "worker/scripts/requeue.lua": ["operator"],
    "worker/scripts/drop.lua": ["operator"],
}
_COMMAND = re.compile(r"(?:p?call\(|claim = \{)'([A-Z]+)'(?:, '([A-Z]{3,})')?")
_SUBCOMMANDS = ("XINFO", "XGROUP")


def make_acl(*arguments: str) -> subprocess.CompletedProcess[str]:
    # -I: it runs where nothing of this project is installed.
    command = [sys.executable, "-I", str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def users(folder: Path) -> dict[str, str]:
    lines = (folder / "users.acl").read_text().splitlines()
    return {line.split(" ")[1]: line for line in lines}


def test_each_user_has_a_secret_of_its_own_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    out = tmp_path / "secrets"
    done = make_acl("--out", str(out), "--server", "rediss://h:1?ssl_ca_certs=/run/ca.pem")
    assert done.returncode == 0, done.stderr
    assert out.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}
    passwords = set()
    for name in NAMES:
        url = (out / f"{name}.url").read_text().strip()
        assert redacted(url) == "rediss://***@h:1"
        assert url.endswith("@h:1?ssl_ca_certs=/run/ca.pem")
        password = url.removeprefix(f"rediss://{name}:").partition("@")[0]
        passwords.add(password)
        assert f"#{hashlib.sha256(password.encode()).hexdigest()} " in users(out)[name]
    passwords |= {(out / f"{name}.password").read_text().strip() for name in ("admin", "exporter")}
    assert len(passwords) == len(NAMES) + 2
    assert min(map(len, passwords)) >= 43  # 256 bits
    said = done.stdout + done.stderr + (out / "users.acl").read_text()
    assert not any(password in said for password in passwords)
    assert users(out)["default"] == "user default off resetchannels -@all"


def test_secrets_stay_when_the_rest_changes(tmp_path: Path) -> None:
    assert make_acl("--out", str(tmp_path)).returncode == 0
    before = users(tmp_path)
    (tmp_path / "worker.url").unlink()
    again = make_acl("--out", str(tmp_path), "--prefix", "무대", "--server", "redis://new:1")
    assert again.returncode == 0
    after = users(tmp_path)
    hashes = {name: (before[name].split(" ")[3], after[name].split(" ")[3]) for name in NAMES}
    assert [name for name, (old, new) in hashes.items() if old != new] == ["worker"]
    assert (tmp_path / "view.url").read_text().endswith("@new:1\n")
    assert "%R~무대:{*}:frames" in after["view"]
    assert "emotion:" not in "".join(after.values())


def test_a_link_in_place_of_a_file_is_replaced(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / "users.acl").symlink_to(victim)
    assert make_acl("--out", str(out)).returncode == 0
    assert victim.read_text() == "precious"
    assert not (out / "users.acl").is_symlink()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--prefix", "a*"), "--prefix: expected letters, digits and . _ : -, got 'a*'"),
        (("--prefix", ") ~*"), "--prefix: expected"),
        (("--server", "redis://u:geheim@h"), "address without user, password"),
        (("--server", "h:6379"), "--server: expected one of redis://"),
    ],
)
def test_what_cannot_be_used_is_refused(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = make_acl("--out", str(tmp_path / "out"), *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert "geheim" not in done.stderr


def test_whoever_calls_a_script_may_give_each_command_in_it(tmp_path: Path) -> None:
    assert make_acl("--out", str(tmp_path)).returncode == 0
    rules = users(tmp_path)
    scripts = [*sorted(REPOSITORY.glob("*/scripts/*.lua")), REPOSITORY / "contract/snapshot.lua"]
    letters = (REPOSITORY / "worker/scripts/letters.lua").read_text()
    missing = []
    for path in scripts:
        name = path.relative_to(REPOSITORY).as_posix()
        if name == "worker/scripts/letters.lua":
            continue
        text = path.read_text()
        if "_letter" in text:  # Python puts those functions before it
            text += letters
        commands = {
            "|".join(filter(None, found)) if found[0] in _SUBCOMMANDS else found[0]
            for found in _COMMAND.findall(text)
        }
        assert commands, name
        group = {"consumer": ["consumer", "publisher"]}
        folder = name.partition("/")[0]
        for caller in CALLERS.get(name, group.get(folder, [folder])):
            allowed = set(re.findall(r"\+([a-z|_]+)", rules[caller]))
            # Of letters.lua the operator's scripts call one function only.
            needless = {"TIME", "HGET", "HSET"} if caller == "operator" else set()
            missing += [
                f"{caller} may not {command} in {name}"
                for command in sorted(commands - needless)
                if command.lower() not in allowed
            ]
    assert missing == []
