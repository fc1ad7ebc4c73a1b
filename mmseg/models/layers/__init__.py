"""Layers and operations that several networks share and no paper owns."""
