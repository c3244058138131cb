"""From faces to people: followed from frame to frame, judged, smoothed. No I/O; time is what the
events carry."""
