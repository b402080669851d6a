"""The control plane: storms, sinks and detectors run, watched and steered over HTTP."""
