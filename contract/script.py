"""A Lua script on its way to Redis."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from contract.connect import UNKNOWN_SCRIPT

if TYPE_CHECKING:
    import redis


class Script:
    """`scripts/NAME.lua` of a package, called with keys of one partition: by its digest, and with
    its text where a server does not know it (yet, or any more). Raises redis's own errors.

    Two releases run side by side during an upgrade, each with its own texts on the same keys. So
    the layout of a key never changes: what is new gets a field or a key of its own, and what is
    gone is first no longer read, a release later no longer written.

    Several names are one script: functions, then what calls them. A `read_only` one is refused any
    write by the server, and so needs no right to write its keys.

    Not redis-py's `register_script`: in a cluster that loads the text into every master, so that
    one which is away would stop the scripts of all.
    """

    def __init__(
        self, client: redis.Redis, package: str, *names: str, read_only: bool = False
    ) -> None:
        self._by_digest = client.evalsha_ro if read_only else client.evalsha
        self._by_text = client.eval_ro if read_only else client.eval
        folder = files(package) / "scripts"
        self._text = "\n".join((folder / f"{name}.lua").read_text("utf-8") for name in names)
        self._digest = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], args: Iterable[Any] = ()) -> Any:
        """What the script returns."""
        arguments = (*keys, *args)
        try:
            return self._by_digest(self._digest, len(keys), *arguments)
        except UNKNOWN_SCRIPT:
            return self._by_text(self._text, len(keys), *arguments)
