"""The command line: `ncjax COMMAND`, or `python -m ncjax COMMAND`.

A command is a module of this package with a function `main(argv)` that takes the
arguments after the command's name.  It returns the exit status: 0, or 2 with one
paragraph on stderr if the arguments cannot be used, of which `ncjax.cli.usage.command`
takes care.  To add one, write the module and its line below.
"""

# Name of the command, which is also that of its module -> what it does.
COMMANDS: dict[str, str] = {
    "train": "train a network into neural collapse and measure it on the way",
    "measure": "measure the collapse of features from any framework",
    "compare": "put runs side by side: means over seeds, paired tests, curves, theory",
    "report": "write a page that shows a run, or one with sliders for theory",
    "ufm": "solve unconstrained-features models and check them against theory",
    "codes": "find vectors for more classes than dimensions, beside the best known",
    "movie": "show the collapse as an animation, of a run or of two side by side",
    "prepare": "download data sets and prepare them, without TensorFlow",
}
