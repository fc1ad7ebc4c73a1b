"""What happens around steps, evaluations and tests: one hook per file."""
