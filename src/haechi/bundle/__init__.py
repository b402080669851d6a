"""The bundle: what training makes and detection loads (docs/bundle.md)."""
