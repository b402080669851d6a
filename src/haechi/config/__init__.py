"""What a user may set: one validated, frozen model per YAML file."""
