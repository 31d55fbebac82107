"""Rows of made-up runs."""


def row(epoch, error, nc1, **more):
    return {
        "epoch": epoch,
        "train/loss": 1 / epoch,
        "test/loss": 2 / epoch,
        "train/error": error,
        "test/error": 0.1,
        "nc/nc1": nc1,
        "nc/nc1_floor": 1e-14,
        "nc/nc2": 0.5 / epoch,
        "nc/nc3": 0.25,
        "nc/nc4": error,
        "test/nc1": 2 * nc1,
        "test/nc4": 0.2,
        **more,
    }
