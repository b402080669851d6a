"""live: a running tool in the terminal, a quarter of a second at a time, and the signals it is sent."""
