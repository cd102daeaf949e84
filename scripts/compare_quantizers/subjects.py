"""The real models, with samples to calibrate on, others to judge by, and what a good output is.

Every feed is (input name -> array, batch 1). Calibration and evaluation never share a sample; where
there are only eight photographs, four of them are for calibration, each cut out in several ways.
"""

import dataclasses
import glob
import os
from typing import Callable

import numpy as np
import onnx
from PIL import Image

import detections
import pictures
import zoo

# Not a float model, or not one that can be read.
LEFT_OUT = {"pcb_simple_cnn_qdq": "already quantized",
            "mobilenet_v2_fp32_missing_data": "its weights are missing"}


@dataclasses.dataclass
class Subject:
    calibration: list
    evaluation: list
    # Recurrent models: output name -> input name, fed back from sample to sample; each file gets
    # what it gave itself. `initial` holds these inputs for the first sample, and constant ones.
    carry: dict = dataclasses.field(default_factory=dict)
    initial: dict = dataclasses.field(default_factory=dict)
    # Outputs of all samples (list of lists) -> number; and float's with the candidate's -> 0..1.
    metric_name: str = ""
    metric: Callable | None = None
    agreement_name: str = ""
    agreement: Callable | None = None
    transformer: bool = False


def best_classes(outputs):
    return np.array([np.ravel(values[0]).argmax() for values in outputs])


def same_top1(reference, outputs):
    return float((best_classes(reference) == best_classes(outputs)).mean())


def classifier(name, calibration, evaluation, labels=None, **more):
    """`calibration` and `evaluation` are arrays of the only input."""
    subject = Subject([{name: array} for array in calibration],
                      [{name: array} for array in evaluation],
                      agreement_name="same top-1", agreement=same_top1, **more)
    if labels is not None:
        subject.metric_name = "top-1"
        subject.metric = lambda outputs: float((best_classes(outputs) == labels).mean())
    return subject


def mobilenet(context):
    images, labels = pictures.imagenet(context.data, 0, 300)
    arrays = [pictures.normalized(image, pictures.IMAGENET_MEAN, pictures.IMAGENET_STD)
              for image in images]
    return classifier("input", arrays[:100], arrays[100:], labels[100:])


def squeezenet(context):
    images, labels = pictures.imagenet(context.data, 0, 300, 256)
    arrays = [pictures.planes(image[..., ::-1] - np.float32((104, 117, 123))).astype(np.float16)
              for image in images]
    return classifier("data_0", arrays[:100], arrays[100:], labels[100:])


def cifar(context, name, std, transformer=False):
    train = pictures.cifar(context.data, "train")[0][:512]
    test, labels = pictures.cifar(context.data, "test")
    prepared = [[pictures.normalized(image, pictures.CIFAR_MEAN, std) for image in images]
                for images in (train, test)]
    return classifier(name, *prepared, labels, transformer=transformer)


def compact_transformer(context):
    """Its classes are not CIFAR-10's in this order, so no labels; the npz holds one more sample."""
    subject = cifar(context, "input", pictures.VIT_STD, transformer=True)
    subject.evaluation = subject.evaluation[:1000]
    with np.load(os.path.join(context.models, "cct_2_32_op20.inputs.npz")) as file:
        subject.evaluation.append({"input": file["input"]})
    subject.metric_name, subject.metric = "", None
    return subject


def mnist(context):
    images = pictures.mnist(context.data)
    labels = idx_labels(os.path.join(context.data, "mnist", "t10k-labels-idx1-ubyte.gz"))[5000:]
    arrays = [image[None, None].astype(np.float32) for image in images]
    return classifier("Input3", arrays[:512], arrays[5000:], labels)


def idx_labels(path):
    import gzip
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=8)


def circuit_boards(context):
    """No such pictures are at hand: middles of ImageNet pictures, so only agreement counts."""
    images = pictures.imagenet(context.data, 0, 300)[0]
    arrays = [(pictures.planes(image[80:144, 80:144].mean(2, keepdims=True)) / 255 - 0.5) / 0.5
              for image in images]
    return classifier("input", arrays[:100], arrays[100:])


def file_types(context):
    """Files that stay as they are: of the onnx package in its pinned version, and the data's."""
    package = os.path.dirname(onnx.__file__)
    paths = [path for path in sorted(glob.glob(os.path.join(package, "**", "*.*"), recursive=True))
             if os.path.isfile(path) and not path.endswith(".pyc")]
    rng = np.random.default_rng(0)
    picked = [paths[i] for i in rng.permutation(len(paths))[:310]]
    picked += sorted(glob.glob(os.path.join(context.data, "*", "*.*")))[:50]
    picked += sorted(glob.glob(os.path.join(context.models, "*.*")))
    arrays = []
    for i in rng.permutation(len(picked)):
        with open(picked[i], "rb") as file:
            arrays.append(zoo.byte_features(file.read()))
    return classifier("bytes", arrays[:128], arrays[128:])


def photographs(context, prepare, variants):
    """(calibration, evaluation): whole photographs, then random parts of them, some mirrored."""
    rng = np.random.default_rng(1)
    images, sets = pictures.faces(context.data), []
    for group in images[:4], images[4:]:
        sets.append([prepare(image if i == 0 else part_of(image, rng))
                     for i in range(variants) for image in group])
    return sets


def part_of(image, rng):
    share = rng.uniform(0.5, 1)
    width, height = round(image.width * share), round(image.height * share)
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    image = image.crop((left, top, left + width, top + height))
    return image.transpose(Image.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def face_detector(context):
    def prepare(image):
        return {"input": (pictures.planes(image.resize((320, 240))) - 127) / np.float32(128)}
    return Subject(*photographs(context, prepare, 16), agreement_name="F1 of its faces",
                   agreement=lambda a, b: detections.f1(a, b, detections.faces))


def object_detector(context):
    """ImageNet pictures and photographs of people in a frame of 416 x 416."""
    def prepare(image):
        return {"images": pictures.planes(pictures.letterbox(image, 416, 114)[..., ::-1])}
    sets = photographs(context, prepare, 2)
    folder = os.path.join(context.data, "imagenet300")
    names = [name for name, _ in pictures.imagenet_labels(context.data)]
    for samples, part in zip(sets, (names[:40], names[100:156])):
        samples += [prepare(Image.open(os.path.join(folder, name)).convert("RGB")) for name in part]
    return Subject(*sets, agreement_name="F1 of its objects",
                   agreement=lambda a, b: detections.f1(a, b, detections.objects))


def portraits(context):
    def prepare(image):
        pixels = np.asarray(image.resize((320, 320)))[..., ::-1]
        scaled = (pixels - np.float32((107, 112, 115))) / np.float32(65) / 255
        return {"data": pictures.planes(scaled)}

    def same_pixels(reference, outputs):
        return float(np.mean([(a[0].argmax(1) == b[0].argmax(1)).mean()
                              for a, b in zip(reference, outputs)]))
    return Subject(*photographs(context, prepare, 8), agreement_name="same pixels",
                   agreement=same_pixels)


def style(context):
    def prepare(image):
        return {"inputImage": pictures.planes(image.resize((720, 720)))}
    return Subject(*photographs(context, prepare, 1))


def super_resolution(context):
    """Calibrated on ImageNet pictures; judged on photographs made three times smaller."""
    luma = np.float32((0.299, 0.587, 0.114)) / 255
    calibration = [{"input": pictures.planes((image @ luma)[..., None])}
                   for image in pictures.imagenet(context.data, 0, 32)[0]]
    evaluation, truths = [], []
    for image in pictures.faces(context.data):
        if image.width < 672 or image.height < 559:
            continue
        image = image.convert("L")
        side = min(672, image.height // 3 * 3)
        for left in range(0, image.width - side + 1, max(1, (image.width - side) // 2)):
            large = image.crop((left, 0, left + side, side)).resize((672, 672), Image.BICUBIC)
            small = large.resize((224, 224), Image.BICUBIC)
            truths.append(np.asarray(large, np.float32) / 255)
            evaluation.append({"input": np.asarray(small, np.float32)[None, None] / 255})

    def psnr(outputs):
        errors = [np.square(np.clip(values[0][0, 0], 0, 1) - truth).mean()
                  for values, truth in zip(outputs, truths)]
        return float(-10 * np.log10(np.mean(errors)))
    return Subject(calibration, evaluation, metric_name="PSNR, dB", metric=psnr)


def telemetry(context):
    rows = pictures.telemetry(context.data)
    windows = [{"input": rows[i * 30:i * 30 + 30][None]} for i in range(len(rows) // 30)]
    half = len(windows) // 2
    return Subject(windows[:half], windows[half:])


def voice_activity(context):
    """The first half of the speech for calibration (every third frame), the second to judge."""
    samples = pictures.speech(context.data)
    frames = [{"input": samples[i * 512:i * 512 + 576][None]}
              for i in range((len(samples) - 64) // 512)]
    initial = {"state": np.zeros((2, 1, 128), np.float32), "sr": np.array(16000, np.int64)}
    carry = {"stateN": "state"}
    half = len(frames) // 2
    told = zoo.carried(context.model, frames[:half], initial, carry)

    def same_decision(reference, outputs):
        return float(np.mean([(a[0] > 0.5) == (b[0] > 0.5) for a, b in zip(reference, outputs)]))
    return Subject(told[::3], frames[half:], carry, initial, agreement_name="same decision",
                   agreement=same_decision)


def speech_enhancement(context):
    samples = pictures.speech(context.data)
    count = (len(samples) - 512) // 256
    frames = [{"mix": frame} for frame in zoo.spectra(samples, count)]
    initial = {name: np.zeros(shape, np.float32) for name, shape in (
        ("conv_cache", (2, 1, 16, 16, 33)), ("tra_cache", (2, 3, 1, 1, 16)),
        ("inter_cache", (2, 1, 33, 16)))}
    carry = {name + "_out": name for name in initial}
    half = count // 2
    told = zoo.carried(context.model, frames[:half], initial, carry)
    return Subject(told[::9], frames[half:half + 1000], carry, initial)


SUBJECTS = {
    "mobilenet_v2_imagenet": mobilenet,
    "cifar10_resnet_2b": lambda context: cifar(context, "input.1", pictures.RESNET_STD),
    "cifar10_resnet_4b": lambda context: cifar(context, "input.1", pictures.RESNET_STD),
    "vit_pgd_2_3_16": lambda context: cifar(context, "input", pictures.VIT_STD, transformer=True),
    "cct_2_32_op20": compact_transformer,
    "mnist_cntk_op8": mnist,
    "pcb_simple_cnn_fp32": circuit_boards,
    "magika_standard_v3_3": file_types,
    "lstm_autoencoder": telemetry,
    "silero_vad_v5": voice_activity,
    "gtcrn_simple": speech_enhancement,
    "ultraface_RFB_320": face_detector,
    "SqueezeNet_fp16": squeezenet,
    "super_resolution_x3": super_resolution,
    "SINet_Softmax": portraits,
    "yolox_nano": object_detector,
    "candy": style,
}


@dataclasses.dataclass
class Context:
    """Where things are, for one model."""
    root: str
    models: str
    data: str
    model: str
