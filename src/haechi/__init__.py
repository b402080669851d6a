"""haechi guards logs: learns what normal looks like, and flags what is not."""

__version__ = "0.1.0"
