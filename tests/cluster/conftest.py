"""A free port, and a config whose programs compile in seconds."""

import socket

import pytest

from ncjax import models
from tests.cluster.programs import CONFIG


@pytest.fixture
def address():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
    return f"localhost:{port}"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """File of the small ResNet, which then is in the registry here too."""
    path = tmp_path / "small_resnet.py"
    path.write_text(CONFIG)
    monkeypatch.setitem(models.MODELS, "resnet_tiny", None)  # taken out at the end
    return path
