"""Pictures and series as the shared models want them, prepared without lathe (Pillow, numpy)."""

import csv
import gzip
import os
import wave

import numpy as np
from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
RESNET_STD = (0.2471, 0.2435, 0.2616)
VIT_STD = (0.2023, 0.1994, 0.2010)


def planes(pixels):
    """HxWxC -> 1xCxHxW float32."""
    return np.ascontiguousarray(np.asarray(pixels, np.float32).transpose(2, 0, 1))[None]


def normalized(pixels, mean, std):
    """HxWx3 of 0..255 -> 1x3xHxW, (x/255 - mean) / std."""
    scaled = np.asarray(pixels, np.float32) / np.float32(255)
    return planes((scaled - np.float32(mean)) / np.float32(std))


def short_side_crop(image, short, crop):
    """Short side scaled (Pillow bilinear, the long side rounded), then the middle crop x crop."""
    width, height = image.size
    factor = short / min(width, height)
    sides = (short, round(height * factor)) if width < height else (round(width * factor), short)
    if image.size != sides:
        image = image.resize(sides, Image.BILINEAR)
    left, top = (image.width - crop) // 2, (image.height - crop) // 2
    return np.asarray(image.crop((left, top, left + crop, top + crop)))


def imagenet_labels(data):
    with open(os.path.join(data, "imagenet300", "labels.csv"), newline="") as file:
        return [(row["file"], int(row["label"])) for row in csv.DictReader(file)]


def imagenet(data, start, stop, short=232):
    """Pictures start..stop-1 as HxWx3 uint8 of 224x224, and their classes."""
    rows = imagenet_labels(data)[start:stop]
    folder = os.path.join(data, "imagenet300")
    pixels = [short_side_crop(Image.open(os.path.join(folder, name)).convert("RGB"), short, 224)
              for name, _ in rows]
    return pixels, np.array([label for _, label in rows])


def faces(data):
    folder = os.path.join(data, "faces")
    return [Image.open(os.path.join(folder, name)).convert("RGB")
            for name in sorted(os.listdir(folder)) if name.endswith(".jpg")]


def letterbox(image, side, value):
    """Long side scaled to `side`, the picture in the upper left corner."""
    factor = side / max(image.size)
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.BILINEAR)
    box = np.full((side, side, 3), value, np.uint8)
    box[:image.height, :image.width] = np.asarray(image)
    return box


def cifar(data, split="test"):
    """N x 32 x 32 x 3 uint8 and the labels."""
    with np.load(os.path.join(data, "cifar10", split + ".npz")) as file:
        return file["images"], file["labels"]


def mnist(data):
    """N x 28 x 28 uint8."""
    with gzip.open(os.path.join(data, "mnist", "t10k-images-idx3-ubyte.gz")) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)


def speech(data):
    """Mono samples at 16 kHz, -1..1."""
    with wave.open(os.path.join(data, "speech", "test.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


def telemetry(data):
    """Four series of the Numenta benchmark, each scaled to 0..1: rows x 4."""
    folder = os.path.join(data, "nab", "realKnownCause")
    columns = []
    for name in sorted(os.listdir(folder))[:4]:
        with open(os.path.join(folder, name), newline="") as file:
            series = np.array([float(row["value"]) for row in csv.DictReader(file)][:4000])
        columns.append((series - series.min()) / (series.max() - series.min()))
    rows = min(len(column) for column in columns)
    return np.stack([column[:rows] for column in columns], 1).astype(np.float32)
