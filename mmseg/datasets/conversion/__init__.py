"""Conversion of raw labels to train ids, and the class statistics for rare class sampling."""
