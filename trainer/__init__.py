"""The trainer: measures classifiers and hands the worker artifacts it can trust."""
