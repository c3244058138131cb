"""Is everything there that a worker needs? Looked at once, without taking a frame from anyone."""
