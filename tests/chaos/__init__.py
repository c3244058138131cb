"""The whole system as real processes on a real server, and everything that can go wrong.

`plan.py` draws the faults from a seed, `system.py` runs the processes, `proxy.py` sits on the wire,
`driver.py` lets it happen, and `verdict.py` judges afterwards, by what is in Redis (`evidence.py`)
and what readers were given (`order.py`) alone.
"""
