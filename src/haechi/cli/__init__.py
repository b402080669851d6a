"""The command line: one file a verb, options in, one call, and the way its result is shown."""
