"""Measuring a network over whole data sets.

`evaluate` runs the passes of `passes` over the shares of `shares`.
"""
