"""Where problems go inside a run: measured, routed, bridged, to RL, to critique."""
