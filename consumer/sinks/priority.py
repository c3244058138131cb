"""An even pace on a busy machine: the thread that plays goes first."""

from __future__ import annotations

import logging
import os
import sys

_log = logging.getLogger(__name__)


def go_first() -> bool:
    """Ask for real-time scheduling of the calling thread, as audio programs do; whether it has it.

    Linux grants it to root and to whom /etc/security/limits.d gives an rtprio: on a musician's
    machine that is the group `audio`. Without it the thread waits for its turn like any other.
    It is for threads that do little: one that never sleeps would keep everything else from running.
    """
    if sys.platform != "linux":
        return False
    try:
        # The lowest real-time priority: before every ordinary thread, after all of JACK's.
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except OSError as error:
        _log.debug("no real-time scheduling (%s): a busy machine makes the pace less even", error)
        return False
    return True
