"""The machine's settings that matter at high rates: what they are, what they should be, and setting them."""
