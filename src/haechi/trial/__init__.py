"""Storm and detection joined: what was found of what is known to be there."""
