"""Data sets: one file each, all giving images and votes as arrays."""
