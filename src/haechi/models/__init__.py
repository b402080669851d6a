"""Architectures: what a detector's network looks like, and the tokens it reads."""
