"""Which samples a run sees, as functions of seed and position."""
