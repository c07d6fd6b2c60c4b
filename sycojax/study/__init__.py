"""The matrix of configurations and evaluations, resumable stage by stage."""
