"""The configuration of a run: its fields, their defaults, what they may be.

`default()` has every field.  A config file changes some of them:

    from ncjax.config import default

    def get_config(preset=""):
        config = default()
        config.data.name = "mnist"
        return config

The fields stand in `fields`; `check` refuses what cannot be run; `binding` makes of the
fields the functions, data and trees that they name; `describe` is the text of `--help`;
`stored` reads the configuration of an old run.
"""

from ncjax.config.check import validate, wants_smoke
from ncjax.config.fields import default, resolved
from ncjax.options import ConfigError

__all__ = ["ConfigError", "default", "resolved", "validate", "wants_smoke"]
