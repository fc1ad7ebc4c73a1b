"""What was trained and tested, as tables, curves and pictures."""
