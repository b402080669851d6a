"""What training refuses."""


class TrainError(Exception):
    """One sentence for the user: what was expected, what came, and what to do."""
