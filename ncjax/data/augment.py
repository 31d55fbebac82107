"""Random changes to training images, on the device, inside the compiled epoch.

An augmentation is `(keys [n], images [n, h, w, c]) -> images [n, h, w, c]`, on raw
images of any dtype.  Each image has its own key, so what happens to it depends neither
on its batch nor on the number of devices.  To add one: a function, a line in
`AUGMENTATIONS`, a test.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, Shaped

Augment = Callable[[jax.Array, jax.Array], jax.Array]

PAD = 4  # pixels of padding on each side


def none(
    keys: Key[Array, "n"], images: Shaped[Array, "n h w c"]
) -> Shaped[Array, "n h w c"]:
    """The images as they are, as in Papyan, Han & Donoho (PNAS 2020)."""
    return images


def crop_flip(
    keys: Key[Array, "n"], images: Shaped[Array, "n h w c"]
) -> Shaped[Array, "n h w c"]:
    """Each image padded with 4 zeros on each side and cropped; half are mirrored.

    The usual augmentation of CIFAR (He et al., CVPR 2016, section 4.2).  All 81
    positions of the crop are equally likely, with and without a horizontal flip.

    Args:
        keys: typed PRNG keys [n], one for each image.
        images: images [n, h, w, c], of any size and dtype.

    Returns:
        Images of the same size and dtype.
    """
    padded = jnp.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)))
    down, right, flip = jax.vmap(_draw)(keys)

    def crop(image: jax.Array, down: jax.Array, right: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (down, right, 0), images.shape[1:])

    cropped = jax.vmap(crop)(padded, down, right)
    return jnp.where(flip[:, None, None, None], cropped[:, :, ::-1], cropped)


def _draw(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rows above and columns left of the crop, in the padded image; whether to flip."""
    places = 2 * PAD + 1
    draw = jax.random.randint(key, (), 0, 2 * places**2)
    return draw // 2 // places, draw // 2 % places, draw % 2 == 1


AUGMENTATIONS: dict[str, Augment] = {"none": none, "crop_flip": crop_flip}
