"""What operators do with frames that could not be analysed: look, put back, throw away."""
