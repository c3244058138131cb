"""`make bench`: how fast the whole pipeline is, beside the naive loop, on the same footage."""
