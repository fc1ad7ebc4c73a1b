"""Rows of the papers' experiments become configs."""
