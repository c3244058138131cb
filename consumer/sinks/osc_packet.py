"""Open Sound Control on the wire: addresses, messages, bundles, time tags. No I/O.

The Open Sound Control 1.0 specification, M. Wright, 2002: opensoundcontrol.org/spec-1_0.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterable, Iterator

from pythonosc.osc_message_builder import OscMessageBuilder

# What passes every link unfragmented: IPv6's least MTU (RFC 8200, section 5), less its header and
# UDP's. A lost fragment loses the whole datagram.
SAFE_BYTES = 1232

_ESCAPES = str.maketrans({character: f"%{ord(character):02X}" for character in " #*,/?[]{}%"})
_NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970
_HEAD = b"#bundle\x00"

Argument = float | int | str


def address_part(name: str) -> str:
    """A source id as one part of an address.

    What OSC forbids there is written as in URLs, ``cam#1`` as ``cam%231``, and ``%`` itself as
    ``%25``. Letters of all languages go as they are, in UTF-8 and composed (NFC): ``카메라`` is
    what liblo, Pure Data, Max, SuperCollider and python-osc show and match, although OSC 1.0 speaks
    of ASCII alone.
    """
    return unicodedata.normalize("NFC", name).translate(_ESCAPES)


def message(address: str, *arguments: Argument) -> bytes:
    """A message with float32 (f), int32 (i) and string (s) arguments."""
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument)
    data: bytes = builder.build().dgram
    return data


def time_tag(at_ns: int) -> bytes:
    """Nanoseconds since the epoch as an NTP time stamp: seconds since 1900 and a 32-bit fraction.

    Not python-osc's, which goes by a float and is off by up to half a microsecond. The seconds
    begin again in 2036, as NTP's do. The fraction is rounded up, so that a reader that rounds down
    gets the nanosecond back.
    """
    seconds, ns = divmod(at_ns, 1_000_000_000)
    fraction = -(-(ns << 32) // 1_000_000_000)
    return struct.pack(">II", (seconds + _NTP_EPOCH_S) & 0xFFFF_FFFF, fraction)


def bundles(at_ns: int, messages: Iterable[bytes]) -> Iterator[bytes]:
    """Messages of one moment as datagrams, in order, each within `SAFE_BYTES` if its messages are.

    A message that is longer alone has a bundle to itself.
    """
    head = _HEAD + time_tag(at_ns)
    data = head
    for content in messages:
        element = struct.pack(">i", len(content)) + content
        if len(data) + len(element) > SAFE_BYTES and len(data) > len(head):
            yield data
            data = head
        data += element
    if len(data) > len(head):
        yield data
