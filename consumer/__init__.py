"""Events out: read them in your own program, or watch them with `emotion-events`.

::

    from consumer import EventReader

    with EventReader("redis://127.0.0.1:6379", start="now") as reader:
        for event in reader:
            ...
"""

from consumer.reader import EventReader

__all__ = ["EventReader"]
