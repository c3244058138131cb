"""How every role runs as a process: shared flags, logs, stop signals, the health endpoint."""
