"""Files of weights: written whole, found, read without running code, loaded, exported, downloaded."""
