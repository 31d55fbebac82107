"""The digits of scikit-learn with numbers for labels: where, how turned, what shape."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped

from ncjax.data.dataset import Dataset, Split, generator
from ncjax.data.digits import digits
from ncjax.options import check_value, unknown

_CANVAS = 16  # pixels of a side on which digits are placed


def digits_regression(*, view: str = "moments", seed: int = 0) -> Dataset:
    """The 1,797 digits of `digits` with their split, labelled with vectors.

    Args:
      view: What a network is to tell of an image.

        - "moments": of the intensities of the 8 x 8 pixels, their mean place (row,
          column), the variances along both, and the covariance: 5 targets.
        - "coordinates": row and column of the centre of the digit, which is placed at
          random on 16 x 16 pixels: 2 targets.
        - "angle": cosine and sine of the angle by which the digit is turned, which is
          random in -90..90 degrees: 2 targets.
      seed: Seed of places and angles.

    Returns:
      Images [n, 8, 8, 1] or [n, 16, 16, 1] with grey values 0..16, and float32 labels
      [n, t] of the target "vector".  Labels are those of the training set minus their
      mean, over one number for all, so that their variances sum to t.

    Raises:
      ValueError: For an unknown view.

    References:
      E. Alpaydin and C. Kaynak. Optical recognition of handwritten digits. UCI
      Machine Learning Repository, 1998 (its test part).
    """
    if view not in VIEWS:
        raise ValueError(unknown("view", view, VIEWS))
    check_value("seed", seed, lambda s: s >= 0, "0 or larger")
    make, names = VIEWS[view]
    whole = digits()
    parts = {}
    for name, split in (("train", whole.train), ("test", whole.test)):
        rng = generator(seed, f"{name} {view}")
        parts[name] = make(split.images, rng)
    labels = parts["train"][1]
    centre = labels.mean(0)
    scale = np.sqrt(labels.var(0).mean())
    train, test = (
        Split(images, ((labels - centre) / scale).astype(np.float32))
        for images, labels in parts.values()
    )
    return Dataset("digits_regression", train, test, names, target="vector")


Images = Shaped[np.ndarray, "n h w 1"]
Labels = Float[np.ndarray, "n t"]
Made = tuple[Shaped[np.ndarray, "n r c 1"], Labels]  # of another size, perhaps
View = Callable[[Images, np.random.Generator], Made]


def _moments(images: Images, rng: np.random.Generator) -> Made:
    """Mean place of the intensities, their variances and covariance, in pixels."""
    del rng
    weights = images[..., 0].astype(np.float64)
    weights /= weights.sum((1, 2), keepdims=True)
    rows, columns = np.mgrid[: images.shape[1], : images.shape[2]]

    def mean(values):
        return (weights * values).sum((1, 2))

    row, column = mean(rows), mean(columns)
    labels = [
        row,
        column,
        mean(rows**2) - row**2,
        mean(columns**2) - column**2,
        mean(rows * columns) - row * column,
    ]
    return images, np.stack(labels, 1)


def _coordinates(images: Images, rng: np.random.Generator) -> Made:
    """Digits at random places of a black canvas; row and column of their centres."""
    count, side = images.shape[:2]
    corners = rng.integers(0, _CANVAS - side + 1, (count, 2))
    canvas = np.zeros((count, _CANVAS, _CANVAS, 1), images.dtype)
    for image, (row, column), place in zip(images, corners, canvas, strict=True):
        place[row : row + side, column : column + side] = image
    return canvas, corners + side / 2


def _angle(images: Images, rng: np.random.Generator) -> Made:
    """Digits turned by random angles; cosine and sine of these."""
    from scipy.ndimage import rotate  # late: it takes a moment

    angles = rng.uniform(-90, 90, len(images))
    turned = [
        rotate(image[..., 0].astype(np.float64), angle, reshape=False, order=1)
        for image, angle in zip(images, angles, strict=True)
    ]
    turned = np.clip(np.rint(turned), 0, 255).astype(images.dtype)[..., None]
    radians = np.deg2rad(angles)
    return turned, np.stack([np.cos(radians), np.sin(radians)], 1)


VIEWS: dict[str, tuple[View, tuple[str, ...]]] = {
    "moments": (_moments, ("row", "column", "rows^2", "columns^2", "rows x columns")),
    "coordinates": (_coordinates, ("row", "column")),
    "angle": (_angle, ("cosine", "sine")),
}
