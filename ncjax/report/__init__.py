"""`report.html`: a page for the folder of a run, from its files alone."""
