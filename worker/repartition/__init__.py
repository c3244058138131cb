"""`emotion-worker partitions`: the partitions of a running system, and how many there shall be."""
