"""Alerts of one cause, grouped into incidents: pure, streaming, bounded; event time only."""
