"""Log files -> log keys -> sessions -> windows, with the code that detection runs."""
