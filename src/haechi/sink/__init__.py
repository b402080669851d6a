"""sink: the receiver that says where every message went."""
