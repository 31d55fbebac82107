"""classes.json of a run: names, tree and predicted geometry of the classes.

Data sets of others may be gone by then; what a figure needs of them stands here.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ncjax.hierarchy import Hierarchy, HierarchyError
from ncjax.io import to_json, write_whole

NAME = "classes.json"


@dataclasses.dataclass(frozen=True, eq=False)
class Classes:
    """What is known of the classes of a run.

    Attributes:
        names: name of each of K classes; () if not known.
        tree: class tree over them, or None.
        limit: what metrics are in theory as regularisation vanishes, by key.
        geometry: Gram matrix of the centred class means in that limit [K, K], up to
            scale, or None.
    """

    names: Sequence[str] = ()
    tree: Hierarchy | None = None
    limit: dict[str, float] = dataclasses.field(default_factory=dict)
    geometry: np.ndarray | None = None

    def write(self, folder: Path) -> None:
        """Writes classes.json into a folder, unless it is there and says the same.

        Raises:
            OSError: if it cannot be written.
        """
        tree = self.tree
        content = {
            "names": list(self.names),
            "tree": None
            if tree is None
            else {"nodes": tree.names, "parents": tree.parents},
            "limit": self.limit,
            "geometry": self.geometry,
        }
        path, text = folder / NAME, to_json(content) + "\n"
        if not path.exists() or path.read_bytes() != text.encode():
            write_whole(path, text)


def read_classes(folder: Path) -> Classes:
    """What the classes.json of a folder says.

    Raises:
        OSError: if there is none, or it cannot be read.
        ValueError: if it is damaged.
    """
    try:
        content = json.loads((folder / NAME).read_text())
        names = tuple(map(str, content["names"]))
        tree, geometry = content["tree"], content["geometry"]
        if tree is not None:
            tree = Hierarchy(tree["nodes"], tree["parents"], names)
        if geometry is not None:
            geometry = np.array(geometry, float)
            if geometry.shape != (len(names),) * 2:
                raise ValueError(f"the geometry has shape {geometry.shape}")
        limit = {str(k): float(v) for k, v in content["limit"].items()}
    except (KeyError, TypeError, AttributeError, HierarchyError) as error:
        raise ValueError(f"{error!r}") from error
    return Classes(names, tree, limit, geometry)
