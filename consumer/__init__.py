"""Events out: read them in your own program, or watch them with `emotion-events`.

::

    from consumer import EventReader, signals

    with EventReader("redis://127.0.0.1:6379", start="now") as reader:
        for event in reader:               # faces, as they were measured
            ...
        for signal in signals(reader):     # or people, steady, and who comes, goes or changes
            ...

Each step of `signals` is an iterator of its own as well: `in_order`, then `tracked`, then
`smoothed`.
"""

from consumer.chain import ChainOptions
from consumer.order import in_order
from consumer.people.smooth import smoothed
from consumer.people.tracks import tracked
from consumer.reader import EventReader
from consumer.turns import signals

__all__ = ["ChainOptions", "EventReader", "in_order", "signals", "smoothed", "tracked"]
