"""Measuring a network over whole data sets.

`evaluate` for data on the devices, `streamed` for data that do not fit there; both run
the passes of `passes` over the shares of `shares`.
"""
