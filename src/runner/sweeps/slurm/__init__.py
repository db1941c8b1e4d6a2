"""The jobs of a sweep, or of one run, on a SLURM cluster, with submitit."""
