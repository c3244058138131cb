"""Frames to events: read in batches, find faces, classify emotions, settle."""
