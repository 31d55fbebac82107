"""ncjax: train into neural collapse, measure it exactly, check the theory."""
