"""Ask a running role how it is, as an image's HEALTHCHECK: exit code 0 if well, else 1.

    python -m contract.process.probe http://127.0.0.1:9100/livez [STATUS ...]

STATUS is an HTTP status that is well, 200 by default. Where the images come from there is no curl.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

_TIMEOUT_S = 3.0


def probe(url: str, well: Collection[int] = (200,)) -> str | None:
    """What is wrong with the answer at an http:// URL; None if nothing is. Follows no redirects."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(
        place.hostname or "127.0.0.1", place.port or 80, timeout=_TIMEOUT_S
    )
    try:
        connection.request("GET", place.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error or type(error).__name__}"
    finally:
        connection.close()
    if status in well:
        return None
    return f"{url}: expected {' or '.join(map(str, well))}, got {status}"


def main(argv: Sequence[str]) -> int:
    """Exit code, with one line on stderr where something is wrong."""
    url, *statuses = argv
    wrong = probe(url, [int(status) for status in statuses] or (200,))
    if wrong is not None:
        print(wrong, file=sys.stderr)
    return 0 if wrong is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
