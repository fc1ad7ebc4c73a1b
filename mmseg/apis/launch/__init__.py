"""Start many runs: side by side on this machine, or through Slurm; and see what became of them."""
