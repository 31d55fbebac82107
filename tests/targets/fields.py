"""What the tests of all targets share."""


def changed(config, change):
    """The configuration with some fields changed, named with __ for the dot."""
    for field, value in change.items():
        *parts, last = field.split("__")
        section = config
        for part in parts:
            section = section[part]
        section[last] = value
    return config
