"""Record what comes, and play it again exactly: the same records at the same times.

::

    from consumer.session import SessionReader, replay

    for record in replay(SessionReader(Path("concert.jsonl.gz")), stop=threading.Event()):
        ...
"""

from consumer.session.player import Player, replay
from consumer.session.reader import SessionReader
from consumer.session.writer import SessionWriter

__all__ = ["Player", "SessionReader", "SessionWriter", "replay"]
