"""What an operator multiplies: costs of a frame, and cores, networks and memory by them."""
