"""`emotion-up`: server, workers, producer and a view of it all, on one machine with one command."""
