"""Measuring a network over whole data sets."""
