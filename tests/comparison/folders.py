"""Folders of made-up runs."""

import json

from ncjax.config import default, resolved


def row(epoch, **more):
    """A measured epoch; severity stands for every metric that may be undefined."""
    return {
        "epoch": epoch,
        "running/loss": 1.0,
        "train/error": 0.0,
        "test/error": 0.1,
        "nc/nc1": 1e-3,
        "nc/nc2": 0.5,
        "test/mistake_severity": 1.5,
        **{key.replace("__", "/"): value for key, value in more.items()},
    }


def write(path, rows, seed=0, **changes):
    """A folder of a run; `changes` replace fields, named with __ for the dot."""
    config = json.loads(json.dumps(resolved(default())))
    config["seed"] = seed
    config["num_epochs"] = int(rows[-1]["epoch"]) if rows else 9
    for field, value in changes.items():
        section, _, option = field.partition("__")
        if option:
            config[section][option] = value
        else:
            config[section] = value
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    lines = [json.dumps(r) for r in rows]
    lines.insert(0, json.dumps({"epoch": 0, "running/loss": 2.0}))  # not measured
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return path


SOFT = {"name": "soft_labels", "beta": 4.0}
