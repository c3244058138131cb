"""The one way any role reaches Redis or Valkey: bytes, bounded waits, TLS, safe retries."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from contract.errors import BrokerError, BrokerUnavailable, UsageError

SOCKET_TIMEOUT_S = 5.0
MAX_BLOCK_S = 0.5  # well below the socket time-out, and how long a stop can go unnoticed

# What redis-py raises when the server cannot be reached; roles wait and try again on these.
UNREACHABLE = (redis.ConnectionError, redis.TimeoutError)
REFUSED = (redis.RedisError,)


def connect(url: str, *, retries: int = 3) -> redis.Redis:
    """A client for a `redis://`, `rediss://` (TLS) or `unix://` URL that speaks bytes.

    Nothing is sent yet. `retries` repeats a command whose reply was lost: pass 0 for reads that
    hand out work (a lost XREADGROUP reply leaves entries in our name, which only the caller can
    look up), anything else is safe because every script is idempotent.

    Raises `UsageError` for a URL of another kind.
    """
    # A unix socket has no keep-alive, and its connection class knows no such argument.
    tcp_only = {} if url.startswith("unix:") else {"socket_keepalive": True}
    try:
        client: redis.Redis = redis.Redis.from_url(
            url,
            **tcp_only,
            decode_responses=False,
            protocol=2,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            health_check_interval=30,
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries),
            retry_on_error=[redis.ConnectionError, redis.TimeoutError] if retries else [],
        )
    except ValueError as error:
        raise UsageError(f"{redacted(url)}: {error}") from error
    return client


def check(client: redis.Redis, url: str) -> None:
    """Ask the server for a sign of life, so that a wrong URL ends in one clear line.

    Raises `BrokerUnavailable` or `BrokerError` naming the URL without its password.
    """
    try:
        client.ping()
    except UNREACHABLE as error:
        raise BrokerUnavailable(f"no Redis at {redacted(url)}: {error}") from error
    except REFUSED as error:
        raise BrokerError(f"Redis at {redacted(url)} refused us: {error}") from error


def redacted(url: str) -> str:
    """`url` without its user name, password and query, fit for a log."""
    parts = urlsplit(url)
    if "@" not in parts.netloc and not parts.query:
        return url
    host = parts.netloc.rpartition("@")[2]
    netloc = f"***@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))
