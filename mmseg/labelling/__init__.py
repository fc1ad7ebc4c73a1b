"""Which pixels of unlabelled images get which label: probabilities in, labels out."""
