"""Pixels that are decoded and resized once."""
