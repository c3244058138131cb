"""What a token of the live page may look like."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,128}")  # passes through URL and cookie as it is


def check_token(token: str) -> None:
    """Raises `ValueError`, without the token."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("expected 16 to 128 letters, digits and . _ ~ -")
