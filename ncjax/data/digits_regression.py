"""Images of digits with numbers for labels: where, how turned, what shape."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped

from ncjax.data.dataset import Dataset, Split, generator
from ncjax.data.digits import digits
from ncjax.data.tfds import fashion_mnist, mnist
from ncjax.options import check_value, options_of, unknown

SOURCES: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
}


def digits_regression(
    *,
    view: str = "moments",
    source: str = "digits",
    seed: int = 0,
    dir: str = "",
    download: bool = True,
) -> Dataset:
    """Grey images with their own split, labelled with vectors; by default 1,797 digits.

    Args:
      view: What a network is to tell of an image.

        - "moments": of the intensities of the pixels, their mean place (row, column),
          the variances along both, and the covariance: 5 targets.
        - "coordinates": row and column of the centre of the image, which is placed at
          random on a black one of twice its side: 2 targets.
        - "angle": cosine and sine of the angle by which the digit is turned, which is
          random in -90..90 degrees: 2 targets.
      source: Where the images are from: a name in `SOURCES`.
      seed: Seed of places and angles.
      dir: The data folder of a source that is downloaded.
      download: Whether the source is downloaded where it is not prepared.

    Returns:
      Images [n, s, s, 1] or [n, 2s, 2s, 1] of the source's grey values, s = 8 for the
      digits, and float32 labels [n, t] of the target "vector".  Labels are those of the
      training set minus their mean, over one number for all, so that their variances
      sum to t.

    Raises:
      DataError: If the source is not there.
      ValueError: For an unknown view or source.

    References:
      E. Alpaydin and C. Kaynak. Optical recognition of handwritten digits. UCI
      Machine Learning Repository, 1998 (its test part).
    """
    if view not in VIEWS:
        raise ValueError(unknown("view", view, VIEWS))
    check_value("seed", seed, lambda s: s >= 0, "0 or larger")
    if source not in SOURCES:
        raise ValueError(unknown("source", source, SOURCES))
    make, names = VIEWS[view]
    taken = options_of(SOURCES[source]).keys()
    given = {"dir": dir, "download": download}
    whole = SOURCES[source](**{k: v for k, v in given.items() if k in taken})
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
    name = f"{source}_regression"
    return Dataset(name, train, test, names, target="vector")


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
    """Images at random places of a black canvas; row and column of their centres."""
    count, side = images.shape[:2]
    corners = rng.integers(0, side + 1, (count, 2))
    canvas = np.zeros((count, 2 * side, 2 * side, 1), images.dtype)
    for image, (row, column), place in zip(images, corners, canvas, strict=True):
        place[row : row + side, column : column + side] = image
    return canvas, corners + side / 2


def _angle(images: Images, rng: np.random.Generator) -> Made:
    """Images turned by random angles; cosine and sine of these."""
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
