#!/usr/bin/env python3
"""Trains scripts/glyphs.onnx, the model of the quickstart, on images that lathe-glyphs draws.

Run once by the maintainers; users of lathe need neither this script nor Python. With Debian's
python3-torch and two cores it takes some minutes:

    scripts/train_glyphs.py --generator build/release/lathe-glyphs
"""

import argparse
import pathlib
import subprocess
import tempfile

import numpy
import torch
from torch import nn
from torch.nn import functional

CLASSES = 36
# The same preprocessing as in the specification file that lathe-glyphs writes.
MEAN, STD = 0.25, 0.25
# Set name: number of images, seed. The quickstart draws its own sets with other seeds.
SETS = {"train": (60000, 1), "test": (5000, 2)}


def conv(inputs, outputs, kernel=3, stride=1, groups=1):
    """Convolution and BatchNorm, kept apart in the exported file."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """Two 3x3 convolutions around which the input passes, as in ResNet."""

    def __init__(self, channels):
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)

    def forward(self, x):
        return functional.relu(x + self.second(functional.relu(self.first(x))))


class InvertedBottleneck(nn.Module):
    """Expand, filter each channel, project, as in MobileNetV2."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        hidden = inputs * 3
        self.body = nn.Sequential(
            conv(inputs, hidden, 1), nn.ReLU6(),
            conv(hidden, hidden, 3, stride, hidden), nn.ReLU6(),
            conv(hidden, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.adds else self.body(x)


class GlyphNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            conv(1, 16, 3, 2), nn.ReLU(),
            conv(16, 24), nn.ReLU(),
            Residual(24),
            InvertedBottleneck(24, 48, 2),
            InvertedBottleneck(48, 48, 1),
            InvertedBottleneck(48, 48, 1),
            conv(48, 128, 1), nn.ReLU6())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(128, CLASSES)

    def forward(self, image):
        return self.classifier(torch.flatten(self.pool(self.features(image)), 1))


def load(path):
    with numpy.load(path) as data:
        images = data["images"].astype(numpy.float32)[:, None] / 255
        return (torch.from_numpy((images - MEAN) / STD), torch.from_numpy(data["labels"]))


def draw_sets(generator, folder):
    for name, (count, seed) in SETS.items():
        subprocess.run([generator, "--count", str(count), "--seed", str(seed),
                        "-o", str(folder / f"{name}.npz")], check=True)


def accuracy(model, images, labels):
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(batch).argmax(1) for batch in images.split(500)])
    return (found == labels).float().mean().item()


def train(model, images, labels, epochs, batch, rate):
    steps = epochs * (len(images) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.2)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        order = torch.randperm(len(images))[:len(images) // batch * batch]
        for chosen in order.split(batch):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images[chosen]), labels[chosen],
                                            label_smoothing=0.05)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{epochs}: loss {total * batch / len(order):.4f}", flush=True)


def export(model, path):
    # PRESERVE and no folding: the BatchNorms stay in the file, as in most files that users have.
    model.eval()
    torch.onnx.export(
        model, torch.zeros(1, 1, 28, 28), str(path), opset_version=13,
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
        input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})


def main():
    here = pathlib.Path(__file__).resolve().parent
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = flags.add_mutually_exclusive_group(required=True)
    source.add_argument("--generator", help="the program lathe-glyphs")
    source.add_argument("--data", type=pathlib.Path, help="a folder with train.npz and test.npz")
    flags.add_argument("-o", "--output", type=pathlib.Path, default=here / "glyphs.onnx")
    flags.add_argument("--epochs", type=int, default=10)
    flags.add_argument("--batch", type=int, default=128)
    flags.add_argument("--lr", type=float, default=6e-3)
    flags.add_argument("--threads", type=int, default=2)
    options = flags.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.data or pathlib.Path(scratch)
        if options.generator:
            draw_sets(options.generator, folder)
        images, labels = load(folder / "train.npz")
        test_images, test_labels = load(folder / "test.npz")

    model = GlyphNet()
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    train(model, images, labels, options.epochs, options.batch, options.lr)
    reached = accuracy(model, test_images, test_labels)
    print(f"accuracy on {len(test_labels)} other images: {reached:.4f}")
    if reached < 0.97:
        raise SystemExit("below 97 %: nothing written")
    export(model, options.output)
    print(f"{options.output}: {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
