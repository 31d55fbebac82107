"""Studies: claims of the field put to the test; each module is a program.

    python -m tests.benchmarks.studies.NAME [--workdir=DIR] [--smoke]

The runs are written below the workdir, and the same command goes on where it was
stopped.  At the end the table, the figure and the verdicts go to `results/NAME/`.
"""
