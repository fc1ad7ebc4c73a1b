"""Runs of an experiment: folders, processes, Slurm, where each stands. Imports no torch."""
