"""How the C library treats memory that was freed."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD = -1  # glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_OWN_MAPPING_BYTES = 32 * 2**20  # the most that glibc takes
_KEPT_FREE_BYTES = 256 * 2**20


def keep_freed_memory() -> bool:
    """Let the process use memory again that it freed, instead of giving it back to the system.

    A picture of 640x480 pixels is above the size for which glibc asks the kernel each time, and
    every page of it then costs a page fault: 0.7 of the 1.2 ms that decoding its JPEG takes. Keeps
    up to 256 MiB. Returns whether that was done: only glibc is known to need and to take it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(
        libc.mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)
        and libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE_BYTES)
    )
