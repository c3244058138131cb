"""The worker's stages on a GPU machine, with as little installed as such machines have."""
