"""Prove on this machine that an experiment resumes exactly, or find what keeps it from doing so."""
