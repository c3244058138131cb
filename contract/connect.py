"""The one way any role reaches Redis or Valkey: bytes, bounded waits, TLS, safe retries."""

from __future__ import annotations

import re
import ssl

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from contract.errors import AccessDenied, BrokerError, BrokerUnavailable, UsageError

SOCKET_TIMEOUT_S = 5.0
MAX_BLOCK_S = 0.5  # well below the socket time-out, and how long a stop can go unnoticed

# What redis-py raises when the server cannot be reached, and at all.
UNREACHABLE = (redis.ConnectionError, redis.TimeoutError)
REFUSED = (redis.RedisError,)

# A server that cannot do it just now but will: no memory left until workers settle frames, a
# replica before it is promoted, a cluster or a disk in trouble, somebody's long script.
_PASSING = (
    *UNREACHABLE,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.MasterDownError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)
# redis-py has no classes for these. UNBLOCKED ends a blocking read when a master becomes a replica.
_PASSING_WORDS = ("MISCONF", "NOREPLICAS", "UNBLOCKED", "BUSY ", "max number of clients")
# A wrong password is a connection error to redis-py; no waiting makes it right.
_LASTING = (
    redis.AuthenticationError,
    redis.exceptions.AuthorizationError,
    redis.exceptions.NoPermissionError,
)


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
    except ValueError as error:  # its text can hold a piece of the password
        raise UsageError(
            f"{redacted(url)}: expected redis://, rediss:// or unix://, then "
            "[user:password@]host[:port][/db]; / ? # [ ] @ % in a password are written as %2F and "
            "the like"
        ) from error
    return client


def check(client: redis.Redis, url: str) -> None:
    """Ask the server for a sign of life, so that a wrong URL ends in one clear line.

    A server that is there and only cannot serve just now (it loads its data, say) passes: who asks
    it for something waits that out. Raises `BrokerUnavailable`, `AccessDenied` or `BrokerError`
    naming the URL without its password.
    """
    try:
        client.ping()
    except REFUSED as error:
        if _is_lasting(error):
            raise AccessDenied(f"Redis at {redacted(url)} refused us: {error}") from error
        if isinstance(error, UNREACHABLE) and not _is_there(error):
            raise BrokerUnavailable(
                f"no Redis at {redacted(url)}: {error}{_hint(error, url)}"
            ) from error
        if not is_passing(error):
            raise BrokerError(f"Redis at {redacted(url)} refused us: {error}") from error


def eviction_policy(client: redis.Redis) -> str | None:
    """The server's policy if it may take whole streams away when its memory runs out.

    None also when it does not say: asking is for a warning, and may be forbidden.
    """
    try:
        memory = client.info("memory")
    except REFUSED:
        return None
    policy = str(memory.get("maxmemory_policy", ""))
    # Our keys have no time to live, so the volatile policies leave them alone.
    return policy if memory.get("maxmemory") and policy.startswith("allkeys") else None


def is_passing(error: Exception) -> bool:
    """Whether an error of redis-py is one that waiting may cure."""
    if _is_lasting(error):
        return False
    return isinstance(error, _PASSING) or str(error).startswith(_PASSING_WORDS)


def _is_lasting(error: Exception) -> bool:
    """Whether the server won't have us, or we won't have the server."""
    # redis-py makes a connection error of it, and keeps what it was only here.
    distrusted = isinstance(error.__context__, ssl.SSLCertVerificationError)
    return distrusted or isinstance(error, _LASTING)


def _is_there(error: Exception) -> bool:
    """Whether a connection error of redis-py is an answer of the server's own."""
    return isinstance(error, redis.exceptions.BusyLoadingError) or str(error).startswith(
        _PASSING_WORDS
    )


def _hint(error: Exception, url: str) -> str:
    """What it looks like when only one side speaks TLS."""
    if url.startswith("rediss:"):
        lost = isinstance(error.__context__, ssl.SSLError) or isinstance(error, redis.TimeoutError)
        return " (a server without TLS wants redis://)" if lost else ""
    closed = any(words in str(error) for words in ("closed by server", "reset by peer"))
    return " (a server with TLS wants rediss://)" if closed else ""


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
