"""Video in: files, cameras and network streams become JPEG frames in a Redis stream.

`stream.py` tells the story of one source; everything else is one step of it.
"""
