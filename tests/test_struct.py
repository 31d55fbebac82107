"""Dataclasses that are pytrees: leaves, static fields, copies; Flax as reference."""

import dataclasses
import pickle

import flax.struct
import jax
import jax.numpy as jnp
import pytest

from ncjax import struct


@struct.dataclass
class Ball:
    centre: jax.Array
    radius: jax.Array
    name: str = struct.field(pytree_node=False, default="ball")


@struct.dataclass
class Coloured(Ball):
    colour: str = struct.field(pytree_node=False, kw_only=True)


@flax.struct.dataclass
class Reference:
    centre: jax.Array
    radius: jax.Array
    name: str = flax.struct.field(pytree_node=False, default="ball")


BALL = Ball(jnp.arange(3.0), jnp.ones(()))


def test_leaves_and_their_paths_are_those_of_flax():
    reference = Reference(BALL.centre, BALL.radius)
    found = jax.tree_util.tree_flatten_with_path(BALL)[0]
    expected = jax.tree_util.tree_flatten_with_path(reference)[0]
    assert [path for path, _ in found] == [path for path, _ in expected]
    assert all(a is b for (_, a), (_, b) in zip(found, expected))


def test_transformations_keep_the_class():
    doubled = jax.jit(lambda ball: jax.tree.map(lambda x: 2 * x, ball))(BALL)
    assert isinstance(doubled, Ball)
    assert doubled.name == "ball"
    assert doubled.radius == 2
    gradient = jax.grad(lambda ball: (ball.centre**2).sum() + ball.radius)(BALL)
    assert gradient.centre.tolist() == [0, 2, 4]


def test_a_static_field_is_compiled_for():
    count = []

    @jax.jit
    def area(ball):
        count.append(ball.name)
        return ball.radius**2

    area(BALL)
    area(BALL.replace(radius=jnp.zeros(())))
    area(BALL.replace(name="egg"))
    assert count == ["ball", "egg"]


def test_subclasses_add_fields():
    coloured = Coloured(BALL.centre, BALL.radius, colour="red")
    assert len(jax.tree.leaves(coloured)) == 2
    assert jax.tree.map(lambda x: x, coloured).colour == "red"


def test_frozen_and_copied():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BALL.name = "egg"
    with pytest.raises(TypeError, match="colour"):
        BALL.replace(colour="red")
    assert BALL.replace(name="egg") == dataclasses.replace(BALL, name="egg")
    assert pickle.loads(pickle.dumps(BALL)).name == "ball"
