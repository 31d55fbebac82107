"""Trees from hypernyms, given or looked up in WordNet."""

import sys
import types

import numpy as np
import pytest

from ncjax import hierarchy
from ncjax.hierarchy import HierarchyError, from_nested


def test_hypernym_paths():
    paths = {
        "cat": ["entity", "animal", "feline"],
        "dog": ["entity", "animal", "canine", "dog"],
        "car": ["entity", "artifact"],
    }
    tree = hierarchy.from_wordnet(["dog", "car", "cat"], paths)
    assert tree.class_names == ("dog", "car", "cat")
    np.testing.assert_array_equal(tree.lca_heights()[0], [0, 3, 2])
    assert hierarchy.from_wordnet(["dog", "cat"], paths).names[0] == "animal"
    for change, message in (
        (
            {"dog": ["entity", "pet", "feline"]},
            "paths of 'cat' and 'dog' differ.*'feline'",
        ),
        ({"dog": ["entity", "animal", "cat"]}, "'cat' lies above the class 'dog'"),
        ({"dog": []}, "'dog' has no hypernyms"),
        ({"dog": "canine"}, "'dog' has no hypernyms.*Got 'canine'"),
        ({"dog": ["animal"]}, "above 'animal': entity and nothing"),
        ({"dog": ["thing"]}, "one root, but 'entity' and 'thing'"),
    ):
        with pytest.raises(HierarchyError, match=message):
            hierarchy.from_wordnet(["cat", "dog", "car"], paths | change)
    with pytest.raises(HierarchyError, match="'cow' has no hypernyms"):
        hierarchy.from_wordnet(["cat", "cow"], paths)


class Synset:
    """As much of a synset of nltk as is asked for."""

    def __init__(self, name, *above, instance=False):
        self._name, self._above, self._instance = name, above, instance

    def name(self):
        return self._name

    def hypernyms(self):
        return [] if self._instance else [*self._above]

    def instance_hypernyms(self):
        return [*self._above] if self._instance else []

    def max_depth(self):
        return 1 + max((above.max_depth() for above in self._above), default=-1)


@pytest.fixture
def wordnet(monkeypatch):
    """A WordNet of a few synsets in the place of nltk's."""

    class WordNetError(Exception):
        pass

    entity = Synset("entity.n.01")
    animal = Synset("animal.n.01", entity)
    pet = Synset("domestic_animal.n.01", animal)
    canine = Synset("canine.n.02", Synset("carnivore.n.01", animal))
    dog, hot_dog = Synset("dog.n.01", pet, canine), Synset("hot_dog.n.01", entity)
    felix = Synset("felix.n.01", Synset("cat.n.01", animal), instance=True)
    synsets = {s.name(): s for s in (entity, animal, dog, hot_dog, felix)}

    def synset(name):
        if name not in synsets:
            raise WordNetError(name)
        return synsets[name]

    corpus = types.SimpleNamespace(
        ensure_loaded=lambda: None,
        synset=synset,
        synsets=lambda noun, pos: [s for n, s in synsets.items() if n[:-5] == noun],
        synset_from_pos_and_offset=lambda pos, at: {2084071: dog}.get(at),
    )
    modules = {
        "nltk": {},
        "nltk.corpus": {"wordnet": corpus},
        "nltk.corpus.reader": {},
        "nltk.corpus.reader.wordnet": {"WordNetError": WordNetError},
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return corpus


def test_wordnet(wordnet):
    want = {
        "entity.n.01": {
            "animal.n.01": {
                "carnivore.n.01": {"canine.n.02": ["dog"]},
                "cat.n.01": ["felix"],
            },
            "hot dog": None,
        }
    }
    tree = hierarchy.from_wordnet(["dog", "felix", "hot dog"])
    assert tree == from_nested(want, ["dog", "felix", "hot dog"])
    classes = {"wauwau": "n02084071", "sausage": "hot_dog.n.01"}
    tree = hierarchy.from_wordnet(classes)
    assert tree.class_names == ("wauwau", "sausage")
    assert tree.height == 4
    for wrong, message in (
        (["dog", "qwx"], "no noun 'qwx' for the class 'qwx'"),
        ({"dog": "dog.n.09", "b": "felix"}, "no noun 'dog.n.09' for the class 'dog'"),
        ({"dog": "n00000001", "b": "felix"}, "no noun 'n00000001'"),
        (["dog", "animal"], "'animal' lies above the class 'dog'"),
        ({"dog": "dog", "b": "n02084071"}, "'dog' and 'b' are both 'dog.n.01'"),
    ):
        with pytest.raises(HierarchyError, match=message):
            hierarchy.from_wordnet(wrong)


@pytest.mark.parametrize("absent", ["nltk", "corpus"])
def test_wordnet_is_optional(wordnet, monkeypatch, absent):
    if absent == "nltk":
        monkeypatch.setitem(sys.modules, "nltk.corpus", None)
    else:

        def fail():
            raise LookupError

        monkeypatch.setattr(wordnet, "ensure_loaded", fail)
    message = r"needs WordNet: pip install '.*\[trees\]'.*nltk.downloader wordnet"
    with pytest.raises(HierarchyError, match=message):
        hierarchy.from_wordnet(["cat", "dog"])
