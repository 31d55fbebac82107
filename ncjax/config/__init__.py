"""The configuration of a run: its fields, their defaults, what they may be.

`default()` has every field.  A config file changes some of them:

    from ncjax.config import default

    def get_config(preset=""):
        config = default()
        config.data.name = "mnist"
        return config

Its modules: `fields` and their defaults; `check` refuses what cannot be run; `binding`
makes of the fields the functions, data and trees that they name; `stored` reads the
configuration of an older run; `recipes` are settings that several configs share.
"""

from ncjax.config.check import validate as validate, wants_smoke as wants_smoke
from ncjax.config.fields import default as default, resolved as resolved
from ncjax.options import ConfigError as ConfigError
