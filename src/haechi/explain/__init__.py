"""What is behind an alert: its session's lines, what was expected of them, what normal looks like."""
