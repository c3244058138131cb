"""Rules and configuration for Prometheus, and the rules for its operator."""
