"""The training loops of the README of the room, each run where its framework is."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import ncjax
from tests.measurement.test_recorder import assert_same

README = Path(__file__).parents[2] / "ncjax" / "measurement" / "README.md"
torch = pytest.importorskip("torch")


def block(framework):
    """The code of the README that records a loop of this framework."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (found,) = [
        code
        for code in blocks
        if re.search(rf"^(import|from) {framework}\b", code, re.MULTILINE)
        and "recorder.add(" in code
        and (framework != "torch" or "class " not in code)
    ]
    return found


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layers = [torch.nn.Linear(64, 128), torch.nn.ReLU()]
        layers += [torch.nn.Linear(128, 32), torch.nn.ReLU()]
        self.features = torch.nn.Sequential(*layers)
        self.head = torch.nn.Linear(32, 10)

    def forward(self, images):
        return self.head(self.features(images))


def loaders():
    """Digits in batches of 100: 1437 to train, 360 to test."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images / 16, dtype=torch.float32)
    data = list(zip(images, torch.tensor(labels), strict=True))
    parts = data[:1437], data[1437:]
    return tuple(torch.utils.data.DataLoader(part, batch_size=100) for part in parts)


def train(net, loader):
    """An epoch of full cross-entropy, in the order of the data."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net.train()
    for images, labels in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()


@torch.no_grad()
def measured(net):
    """What `measure` finds for the features of a network, from arrays."""

    def stored(loader):
        pairs = [(net.features(images), labels) for images, labels in loader]
        return (torch.cat(part).numpy() for part in zip(*pairs, strict=True))

    given = zip(("features", "labels"), stored(train_loader), strict=True)
    tests = zip(("test_features", "test_labels"), stored(test_loader), strict=True)
    head = {"classifier": net.head.weight, "bias": net.head.bias}
    return ncjax.measure(**dict(given), **dict(tests), **head)


train_loader, test_loader = loaders()


@pytest.mark.parametrize("epochs", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_a_loop_in_pytorch(tmp_path, monkeypatch, epochs):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net, nets = Net(), []

    def train_and_keep(net, loader):
        train(net, loader)
        nets.append(copy.deepcopy(net))

    names = {"net": net, "train": train_and_keep}
    names |= {"train_loader": train_loader, "test_loader": test_loader}
    exec(block("torch").replace("31", str(epochs + 1)), names)
    history = names["recorder"].history
    assert history["epoch"].tolist() == list(range(1, epochs + 1))
    assert history["train/loss"][-1] < history["train/loss"][0] / 2
    for row, net in zip(history.rows, nets, strict=True):
        assert_same(row, measured(net))
    assert (tmp_path / "runs" / "mine" / "collapse.png").is_file()


def test_a_callback_of_lightning(tmp_path):
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            net = Net()
            self.features, self.head = net.features, net.head

        def training_step(self, batch):
            logits = self.head(self.features(batch[0]))
            return torch.nn.functional.cross_entropy(logits, batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    names = {}
    exec(block("lightning"), names)
    recorder, net = ncjax.Recorder(tmp_path / "run", 10), Module()
    callback = names["Collapse"](recorder, train=train_loader, test=test_loader)
    trainer = lightning.Trainer(
        max_epochs=2,
        callbacks=[callback],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(net, train_loader)
    assert recorder.history["epoch"].tolist() == [1, 2]
    assert_same(recorder.history.rows[-1], measured(net))
    assert (tmp_path / "run" / "collapse.png").is_file()


def test_a_callback_of_a_hugging_face_trainer(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")  # its trainer needs it
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 7, 90)
    mask = (np.arange(6) < lengths[:, None]).astype(int)  # padded on the right
    tokens = np.where(mask, rng.integers(1, 20, (90, 6)), 0)
    labels = tokens[:, 0] % 3
    data = [
        {"input_ids": x, "attention_mask": m, "labels": y}
        for x, m, y in zip(*map(torch.tensor, (tokens, mask, labels)), strict=True)
    ]
    config = transformers.GPT2Config(
        vocab_size=20,
        n_positions=6,
        n_embd=8,
        n_layer=1,
        n_head=2,
        num_labels=3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    model = transformers.GPT2ForSequenceClassification(config)
    names = {}
    exec(block("transformers"), names)
    recorder = ncjax.Recorder(tmp_path / "run", 3, pool="last")
    parts = (
        torch.utils.data.DataLoader(data[:60], 16),
        [torch.utils.data.default_collate(data[60:])],
    )
    callback = names["Collapse"](recorder, train=parts[0], test=parts[1])
    args = transformers.TrainingArguments(
        output_dir=str(tmp_path / "hf"),
        num_train_epochs=2,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(model, args, train_dataset=data[:60])
    trainer.add_callback(callback)
    trainer.train()
    assert recorder.history["epoch"].tolist() == [1, 2]
    model.eval()
    given = {"attention_mask": torch.tensor(mask)}
    with torch.no_grad():
        hidden = model.transformer(torch.tensor(tokens), **given)
        logits = model(torch.tensor(tokens), **given).logits
    found = ncjax.measure(
        hidden.last_hidden_state[:60],
        labels[:60],
        pool="last",
        mask=mask[:60],
        classifier=model.score.weight,
    )
    row = recorder.history.rows[-1]
    for key in ("nc1", "nc2", "nc3", "nc4"):
        assert row[f"nc/{key}"] == pytest.approx(found[key], rel=1e-3, abs=1e-6), key
    wrong = logits.argmax(1).numpy() != labels
    assert row["train/error"] == pytest.approx(wrong[:60].mean())
    assert row["test/error"] == pytest.approx(wrong[60:].mean())
