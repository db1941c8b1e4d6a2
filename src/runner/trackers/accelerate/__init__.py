"""Weights & Biases, Comet and what else accelerate has a tracker for, through one adapter."""
