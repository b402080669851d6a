"""The C core from Python: the binding (_core), and the tools that run as processes of their own."""
