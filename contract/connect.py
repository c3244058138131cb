"""The one way any role reaches Redis or Valkey: bytes, bounded waits, TLS, safe retries."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from contract.errors import AccessDenied, BrokerError, BrokerUnavailable, UsageError
from contract.redact import redacted

SOCKET_TIMEOUT_S = 5.0
MAX_BLOCK_S = 0.5  # well below the socket time-out, and how long a stop can go unnoticed
# In a cluster no read can wait at two partitions, and one that waits at each in turn hangs on: a
# quiet server looks only every 100 ms which waits are over. So several are asked in turn, each once
# in this time for every partition there is.
POLL_S = 0.005

# What redis-py raises when the server cannot be reached, and at all. Those of a cluster without any
# node in reach stand outside its tree.
_UNREACHABLE = (redis.ConnectionError, redis.TimeoutError)
REFUSED = (redis.RedisError, RedisClusterException)
UNKNOWN_SCRIPT = (redis.exceptions.NoScriptError,)

# A server that cannot do it just now but will: no memory left until workers settle frames, a
# replica before it is promoted, a cluster or a disk in trouble, somebody's long script.
_PASSING = (
    *_UNREACHABLE,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.MasterDownError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
    redis.exceptions.SlotNotCoveredError,
)
# redis-py has no classes of their own for these. UNBLOCKED: a read that waited on a stream that is
# gone, or on a master that became a replica. The last three: no node of the cluster answers, its
# nodes do not agree yet, they send us round in a circle.
_PASSING_WORDS = (
    "MISCONF", "NOREPLICAS", "UNBLOCKED", "BUSY ", "max number of clients",
    "Redis Cluster cannot be connected", "startup_nodes could not agree", "TTL exhausted",
)  # fmt: skip
# A wrong password is a connection error to redis-py; no waiting makes it right.
_LASTING = (
    redis.AuthenticationError,
    redis.exceptions.AuthorizationError,
    redis.exceptions.NoPermissionError,
)
# A command within a script that the user may not give, as Redis 7.0 says it and as Valkey does; a
# large one of somebody who has not logged in, as a frame of one whose password was changed.
_LASTING_WORDS = (
    "The user executing the script can't", "ACL failure in script",
    "Protocol error: unauthenticated",
)  # fmt: skip


# A scheme of its own, because redis:// cannot say which of the two is meant and holds one address.
_CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}


def connect(url: str, *, retries: int = 3) -> redis.Redis:
    """A client that speaks bytes, for a `redis://`, `rediss://` (TLS) or `unix://` URL, or for a
    cluster at `redis+cluster://` or `rediss+cluster://`, with one or more of its nodes.

    Nothing is sent yet, but to a cluster, which is asked who its nodes are. `retries` repeats a
    command whose reply was lost: pass 0 for reads that hand out work (a lost XREADGROUP reply
    leaves entries in our name, which only the caller can look up), anything else is safe because
    every script is idempotent.

    Raises `UsageError` for a URL of another kind or of no cluster, `BrokerUnavailable` and
    `AccessDenied` for a cluster that does not answer or refuses us.
    """
    with _usable(url):
        seeds = _seeds(url)
        if not seeds:
            return _server(url, retries)
    try:
        return _cluster(seeds, retries)
    except REFUSED as error:
        if "Cluster mode is not enabled" in str(error):
            raise UsageError(
                f"{redacted(url)} is no cluster: its URL begins with redis:// or rediss://"
            ) from error
        cause = error.__cause__ or error
        if is_lasting(error):
            raise AccessDenied(f"Redis Cluster at {redacted(url)} refused us: {cause}") from error
        raise BrokerUnavailable(f"no Redis Cluster at {redacted(url)}: {cause}") from error


def check_url(url: str) -> None:
    """Raises `UsageError` for a URL that `connect` does not take. Asks nobody."""
    with _usable(url):
        for seed in _seeds(url) or [url]:
            _server(seed, 0).close()


def check(client: redis.Redis, url: str) -> None:
    """Ask the server for a sign of life, so that a wrong URL ends in one clear line.

    A server that is there and only cannot serve just now (it loads its data, say) passes: who asks
    it for something waits that out, see `contract.outage.patient_start`. Raises
    `BrokerUnavailable` and `AccessDenied` naming the URL without its password, and `UsageError` for
    the URL of a single node of a cluster.
    """
    if is_cluster(client):
        return  # `connect` has asked it
    try:
        client.ping()
        answer: Any = client.info("cluster")
    except REFUSED as error:
        may_say_no = isinstance(error, redis.exceptions.NoPermissionError)
        is_there = _is_there(error) if isinstance(error, _UNREACHABLE) else is_passing(error)
        if may_say_no or is_there:
            return  # not to us, or not just now: the first real question will tell
        raise _explanation(error, url) from error
    if answer.get("cluster_enabled"):
        place = urlsplit(url)
        scheme = "rediss+cluster" if place.scheme == "rediss" else "redis+cluster"
        address = place.netloc.rpartition("@")[2] or "HOST:PORT"
        raise UsageError(f"{redacted(url)} is a node of a cluster: its URL is {scheme}://{address}")


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turns redis's errors into `BrokerUnavailable`, `AccessDenied` or `BrokerError` naming the URL
    without its password, for a command that does not wait."""
    try:
        yield
    except REFUSED as error:
        raise _explanation(error, url) from error


def _explanation(error: Exception, url: str) -> BrokerError:
    if is_lasting(error):
        return AccessDenied(f"Redis at {redacted(url)} refused us: {error}")
    if isinstance(error, (*_UNREACHABLE, RedisClusterException)):
        return BrokerUnavailable(f"no Redis at {redacted(url)}: {error}{_hint(error, url)}")
    return BrokerError(f"Redis at {redacted(url)} refused us: {error}")


def eviction_policy(client: redis.Redis) -> str | None:
    """The server's policy if it may take whole streams away when its memory runs out.

    None also when it does not say: asking is for a warning, and may be forbidden.
    """
    try:
        memory: Any = client.info("memory")
    except REFUSED:
        return None
    policy = str(memory.get("maxmemory_policy", ""))
    # Our keys have no time to live, so the volatile policies leave them alone.
    return policy if memory.get("maxmemory") and policy.startswith("allkeys") else None


def probe(client: redis.Redis, stream: str) -> None:
    """Ask the server of a stream for a sign of life. Raises redis's own errors."""
    # A command of one key: with those of many, redis-py's cluster client does not look for the new
    # master when the old one fails to answer.
    client.xlen(stream)


def is_cluster(client: redis.Redis) -> bool:
    """Whether keys of different slots cannot be in one command."""
    return isinstance(client, RedisCluster)


class _Cluster(RedisCluster):
    """redis-py's client of a cluster, but for how it finds the node that a command is for."""

    def determine_slot(self, *args: Any) -> int | None:
        # redis-py has the default node tell it, each time, which words of an XREAD or XREADGROUP
        # are keys. With that node away nothing was read any more, whoever had the stream.
        if args[0] in ("XREAD", "XREADGROUP"):
            key = args[args.index(b"STREAMS") + 1]
            return int(self.keyslot(key))  # type: ignore[no-untyped-call]
        # It knows where the keys of EVAL are, but would ask a node where those of these are.
        if args[0] in ("EVAL_RO", "EVALSHA_RO"):
            return int(self.keyslot(args[3]))  # type: ignore[no-untyped-call]
        slot: int | None = super().determine_slot(*args)
        return slot


def _server(url: str, retries: int) -> redis.Redis:
    # A unix socket has no keep-alive, and its connection class knows no such argument.
    tcp_only = {} if url.startswith("unix:") else {"socket_keepalive": True}
    client: redis.Redis = redis.Redis.from_url(
        url,
        **tcp_only,
        decode_responses=False,
        protocol=2,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        health_check_interval=30,
        retry=_retry(retries),
        retry_on_error=[redis.ConnectionError, redis.TimeoutError] if retries else [],
    )
    return client


def _cluster(seeds: list[str], retries: int) -> redis.Redis:
    others = [urlsplit(seed) for seed in seeds[1:]]
    client = _Cluster(
        url=seeds[0],
        startup_nodes=[ClusterNode(node.hostname, node.port or 6379) for node in others],
        # Where one partition has no master the others still have theirs.
        require_full_coverage=False,
        decode_responses=False,
        protocol=2,
        socket_keepalive=True,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=_retry(3),  # until it knows its nodes; one of them may be away
    )
    client.set_retry(_retry(retries))
    # It takes the same commands; redis-py has no type for what both have in common.
    return cast(redis.Redis, client)


def _retry(retries: int) -> Retry:
    return Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries)


def _seeds(url: str) -> list[str]:
    """For the URL of a cluster one plain URL for each node in it, else nothing.

    Raises `ValueError` for what is no such URL, and for one that names a database, which a cluster
    does not have.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _CLUSTER_SCHEMES:
        return []
    address, mark, query = rest.partition("?")
    user, at, place = address.rpartition("@")
    nodes, _, database = place.partition("/")
    if database not in ("", "0"):
        raise ValueError("a cluster has no databases")
    seeds = [
        f"{_CLUSTER_SCHEMES[scheme]}://{user}{at}{node.strip()}{mark}{query}"
        for node in nodes.split(",")
    ]
    for seed in seeds:
        node = urlsplit(seed)
        if not node.hostname or node.port == 0:  # asking for the port checks it
            raise ValueError("expected host:port")
    return seeds


@contextmanager
def _usable(url: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # its text can hold a piece of the password
        raise UsageError(
            f"{redacted(url)}: expected redis://, rediss:// or unix://, then "
            "[user:password@]host[:port][/db], or for a cluster redis+cluster:// or "
            "rediss+cluster://, then [user:password@]host:port[,host:port...]; / ? # [ ] @ % in a "
            "password are written as %2F and the like"
        ) from error


def is_passing(error: Exception) -> bool:
    """Whether an error of redis-py is one that waiting may cure."""
    if is_lasting(error):
        return False
    return isinstance(error, _PASSING) or str(error).startswith(_PASSING_WORDS)


def is_lasting(error: Exception) -> bool:
    """Whether the server won't have us, or we won't have the server."""
    # redis-py makes a connection error of what it was, and its cluster another one of that.
    inner = error.__cause__ or error
    causes = (error, inner, error.__context__, inner.__context__)
    if any(isinstance(cause, (*_LASTING, ssl.SSLCertVerificationError)) for cause in causes):
        return True
    return str(error).startswith(_LASTING_WORDS)


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
