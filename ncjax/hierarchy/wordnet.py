"""Class trees from the hypernyms of WordNet: dog, canine, carnivore, ..., entity."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ncjax.extras import install
from ncjax.hierarchy.formats import from_edges
from ncjax.hierarchy.tree import Hierarchy, HierarchyError


def from_wordnet(
    classes: Sequence[str] | Mapping[str, str],
    hypernyms: Mapping[str, Sequence[str]] | None = None,
) -> Hierarchy:
    """The tree that the hypernyms of the classes form.

    In WordNet a synset may have several hypernyms.  The tree follows the hypernym
    farthest from the root, and of several equally far the last by name, so that each
    node has one parent: dog lies below canine, not below domestic animal.  Inner nodes
    have the names of synsets, such as "canine.n.02".  The root is the lowest synset
    that lies above all classes; chains of nodes with a single child below it are kept.

    Args:
        classes: names of the classes in the order of the labels.  Each name stands for
            its first sense as a noun, with underscores for blanks: draw the tree to see
            whether that sense was meant, and if not give a mapping of the names to
            synsets ("crane.n.05") or to their numbers as in ImageNet ("n02012849").
        hypernyms: the path of each class from the root down, instead of the path in
            WordNet; the class itself may end it.

    Raises:
        HierarchyError: if WordNet is needed but is not installed or lacks a class; if a
            class has no path or lies above another class; or if two paths lead to a
            node through different parents.

    References:
        C. Fellbaum (ed.). WordNet: An Electronic Lexical Database. MIT Press, 1998.
    """
    if hypernyms is None:
        hypernyms = _look_up(classes)
    leaves = set(classes)
    paths: dict[str, list[str]] = {}
    for name in classes:
        path = hypernyms.get(name, ())
        if isinstance(path, str) or not path:
            raise HierarchyError(
                f"The class {name!r} has no hypernyms; a list of at least one, from "
                f"the root down, is needed. Got {path!r}."
            )
        paths[name] = [*path] if path[-1] == name else [*path, name]
    levels = map(set, zip(*paths.values()))
    shared = len(list(itertools.takewhile(lambda nodes: len(nodes) == 1, levels)))
    parent_of: dict[str, tuple[str, str]] = {}  # with the class that led there
    for name, path in paths.items():
        path = path[max(0, shared - 1) :]
        for parent, node in zip(["", *path], path):
            if node != name and node in leaves:
                raise HierarchyError(
                    f"The class {node!r} lies above the class {name!r}, but classes "
                    "must be leaves. Leave one out, or choose another synset for it."
                )
            before, through = parent_of.setdefault(node, (parent, name))
            if before != parent:
                raise HierarchyError(
                    f"The paths of {through!r} and {name!r} differ in what lies above "
                    f"{node!r}: {before or 'nothing'} and {parent or 'nothing'}. "
                    "Choose one for both."
                )
    edges = [(f"class {name!r}", node, p) for node, (p, name) in parent_of.items()]
    return from_edges(edges, list(classes))


def _look_up(classes: Sequence[str] | Mapping[str, str]) -> dict[str, list[str]]:
    """The path of each class in WordNet; the class's name replaces its synset's."""
    try:
        from nltk.corpus import wordnet
        from nltk.corpus.reader.wordnet import WordNetError

        wordnet.ensure_loaded()
    except (ImportError, LookupError, OSError) as error:
        raise HierarchyError(
            f"`from_wordnet` needs WordNet: {install('trees')}, then python -m "
            f"nltk.downloader wordnet ({type(error).__name__}). Or give the paths as "
            "`hypernyms`."
        ) from error
    synsets = {}
    for name in classes:
        sought = classes[name] if isinstance(classes, Mapping) else name
        try:
            synset = _synset(wordnet, sought)
        except (WordNetError, ValueError, StopIteration):
            synset = None
        if synset is None:
            raise HierarchyError(
                f"WordNet has no noun {sought!r} for the class {name!r}. Give "
                "`classes` as a mapping of names to synsets, such as 'crane.n.05'."
            )
        if synset in synsets:
            raise HierarchyError(
                f"The classes {synsets[synset]!r} and {name!r} are both "
                f"{synset.name()!r} in WordNet; give one of them another synset."
            )
        synsets[synset] = name
    paths = {}
    for synset, name in synsets.items():
        path = [name]
        while above := synset.hypernyms() or synset.instance_hypernyms():
            # nltk gives the hypernyms in no order: the name decides between equals.
            synset = max(above, key=lambda s: (s.max_depth(), s.name()))
            path.append(synsets.get(synset, synset.name()))
        paths[name] = path[::-1]
    return paths


def _synset(wordnet: Any, sought: str) -> Any:
    """The synset with this number or this name, or the first of this noun."""
    if re.fullmatch(r"n\d{8}", sought):
        return wordnet.synset_from_pos_and_offset("n", int(sought[1:]))
    if re.fullmatch(r".+\.n\.\d+", sought):
        return wordnet.synset(sought)
    return next(iter(wordnet.synsets(sought.replace(" ", "_"), "n")))
