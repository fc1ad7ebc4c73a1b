"""A file becomes a checked config."""
