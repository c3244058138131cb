"""Where signals go: files, OSC, MIDI, a Redis stream."""
