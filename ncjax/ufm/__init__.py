"""Unconstrained-features models: the optima that training is thought to approach."""
