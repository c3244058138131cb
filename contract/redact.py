"""URLs without the passwords in them, fit for logs and errors."""

from __future__ import annotations

import re


def redacted(url: str) -> str:
    """`url` without its user name, password and query, fit for a log.

    Any text is taken, also one that is no valid URL, and whatever the password is made of.
    """
    scheme, separator, rest = url.partition("://")
    return scheme + separator + _place(rest) if separator else _place(url)


def without_secrets(text: str) -> str:
    """`text` with every URL in it `redacted`.

    A URL goes on until white space or a quote (one inside a word belongs to it), and what comes
    before its last @ is taken for user name and password.
    """
    return _URL.sub(lambda url: "://" + _place(url[1]), text)


_URL = re.compile(r"""://((?:[^\s"'\x00-\x1f]|["'](?=\w))+)""")


def _place(address: str) -> str:
    """What follows the scheme of a URL, without user name, password and query."""
    _, user, place = address.rpartition("@")
    return ("***@" if user else "") + place.partition("?")[0]
