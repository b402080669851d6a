"""storm: profiles of system logs, and making logs from them."""
