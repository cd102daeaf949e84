"""The models in ../shared/models with real inputs for each, and how outputs are compared."""

import functools
import glob
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime as ort

import pictures

# Its weights are not there: it must be refused, which the CLI tests show.
WITHOUT_WEIGHTS = "mobilenet_v2_fp32_missing_data"
# To quantize one, or to find its float16 nodes, takes long; left to the slow tests.
LARGE = {"SINet_Softmax", "candy", "magika_standard_v3_3", "mobilenet_v2_imagenet",
         "pcb_simple_cnn_fp32", "super_resolution_x3", "ultraface_RFB_320", "yolox_nano"}
LEVELS = ort.GraphOptimizationLevel


def shared_or_skip(root):
    """(models, data) folders; ends the test with a word where they are absent."""
    models, data = (os.path.join(root, "..", "shared", name) for name in ("models", "data"))
    if not os.path.isdir(models) or not os.path.isdir(data):
        print("skipped: no ../shared/models and ../shared/data beside the checkout")
        sys.exit(0)
    return models, data


def model_names(models):
    found = (os.path.basename(path)[:-5] for path in glob.glob(os.path.join(models, "*.onnx")))
    return sorted(name for name in found if name != WITHOUT_WEIGHTS)


def is_quick(name):
    """Whether the model is for this run: large ones are for LATHE_SLOW=1."""
    return name not in LARGE or "LATHE_SLOW" in os.environ


def session(path, optimized=True, threads=2):
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS.ORT_ENABLE_ALL if optimized else LEVELS.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_session(model, feed):
    return dict(zip([output.name for output in model.get_outputs()], model.run(None, feed)))


def carried(path, frames, inputs, carry):
    """Feeds of a recurrent model: its states are what it gave for the frame before."""
    model, feeds = session(path, optimized=False), []
    for frame in frames:
        feeds.append({**inputs, **frame})
        outputs = run_session(model, feeds[-1])
        inputs = {**inputs, **{name: outputs[output] for output, name in carry.items()}}
    return feeds


def spectra(samples, count):
    """Frames of 512 samples, hop 256, square root of Hann: 1 x 257 x 1 x 2 (real, imaginary)."""
    window = np.sqrt(np.hanning(513)[:512])
    for i in range(count):
        bins = np.fft.rfft(samples[i * 256:i * 256 + 512] * window)
        yield np.stack([bins.real, bins.imag], 1).astype(np.float32)[None, :, None, :]


def byte_features(content):
    """The first and the last 1024 bytes of a file; 256 stands for nothing."""
    feature = np.full(2048, 256, np.int32)
    head, tail = content[:1024], content[-1024:]
    feature[:len(head)] = np.frombuffer(head, np.uint8)
    feature[2048 - len(tail):] = np.frombuffer(tail, np.uint8)
    return feature[None]


def many_files(models, data):
    """Contents of files of many kinds, in a fixed order: models, every tenth photograph, and
    quarters of everything else. None is of this repository, whose files change."""
    photographs = sorted(glob.glob(os.path.join(data, "*", "*.jpg")))
    others = sorted(set(glob.glob(os.path.join(data, "*", "**", "*.*"), recursive=True)) -
                    set(photographs))
    contents = []
    for path in sorted(glob.glob(os.path.join(models, "*.[!m]*"))) + photographs[::10] + others:
        with open(path, "rb") as file:
            content = file.read()
        quarter = len(content) // 4
        contents += ([content[i * quarter:(i + 1) * quarter] for i in range(4)]
                     if path in others else [content])
    return [contents[i] for i in np.random.default_rng(0).permutation(len(contents))]


def feeds(name, models, data, count, start=0):
    """`count` feeds (input name -> array, batch 1) from the real data, from the start-th sample."""
    path = os.path.join(models, name + ".onnx")
    stop = start + count
    rng = np.random.default_rng(start + 1)
    if name == "silero_vad_v5":
        samples = pictures.speech(data)
        frames = [{"input": samples[i * 512:i * 512 + 576][None]} for i in range(400, 400 + stop)]
        inputs = {"state": np.zeros((2, 1, 128), np.float32), "sr": np.array(16000, np.int64)}
        return carried(path, frames, inputs, {"stateN": "state"})[start:]
    if name == "gtcrn_simple":
        caches = {"conv_cache": (2, 1, 16, 16, 33), "tra_cache": (2, 3, 1, 1, 16),
                  "inter_cache": (2, 1, 33, 16)}
        frames = [{"mix": frame} for frame in spectra(pictures.speech(data)[200000:], stop)]
        inputs = {cache: np.zeros(shape, np.float32) for cache, shape in caches.items()}
        return carried(path, frames, inputs, {cache + "_out": cache for cache in caches})[start:]
    if name == "cct_2_32_op20" and start == 0 and count == 1:
        with np.load(os.path.join(models, name + ".inputs.npz")) as file:
            return [dict(file)]
    (single,) = session(path).get_inputs()

    if name == "lstm_autoencoder":
        rows = pictures.telemetry(data)
        arrays = [rows[i * 30:i * 30 + 30][None] for i in range(start, stop)]
    elif name == "magika_standard_v3_3":
        arrays = [byte_features(content) for content in many_files(models, data)[start:stop]]
    elif name == "mnist_cntk_op8":
        arrays = [image[None, None].astype(np.float32) for image in pictures.mnist(data)[start:stop]]
    elif name.startswith(("cifar10", "vit", "cct")):
        std = pictures.RESNET_STD if name.startswith("cifar10") else pictures.VIT_STD
        images = pictures.cifar(data)[0][start:stop]
        arrays = [pictures.normalized(image, pictures.CIFAR_MEAN, std) for image in images]
    elif name == "mobilenet_v2_imagenet":
        images = pictures.imagenet(data, start, stop)[0]
        arrays = [pictures.normalized(image, pictures.IMAGENET_MEAN, pictures.IMAGENET_STD)
                  for image in images]
    elif name == "SqueezeNet_fp16":
        images = pictures.imagenet(data, start, stop, 256)[0]
        arrays = [pictures.planes(image[..., ::-1] - np.float32((104, 117, 123))).astype(np.float16)
                  for image in images]
    elif name.startswith("pcb"):
        images = pictures.imagenet(data, start, stop)[0]
        arrays = [(pictures.planes(image[80:144, 80:144].mean(2, keepdims=True)) / 255 - 0.5) / 0.5
                  for image in images]
    elif name == "super_resolution_x3":
        images = pictures.imagenet(data, start, stop)[0]
        luma = np.float32((0.299, 0.587, 0.114)) / 255
        arrays = [pictures.planes((image @ luma)[..., None]) for image in images]
    else:
        photographs = pictures.faces(data)
        arrays = [photograph_for(name, photographs[i % len(photographs)], rng)
                  for i in range(start, stop)]
    return [{single.name: np.ascontiguousarray(array)} for array in arrays]


def photograph_for(name, image, rng):
    if name == "ultraface_RFB_320":
        return (pictures.planes(image.resize((320, 240))) - 127) / np.float32(128)
    if name == "yolox_nano":
        return pictures.planes(pictures.letterbox(image, 416, 114)[..., ::-1])
    if name == "SINet_Softmax":
        pixels = np.asarray(image.resize((320, 320)))[..., ::-1]
        return pictures.planes((pixels - np.float32((107, 112, 115))) / np.float32(65) / 255)
    if name == "candy":
        noise = rng.integers(-8, 9, (720, 720, 3))
        return pictures.planes(np.clip(np.asarray(image.resize((720, 720))) + noise, 0, 255))
    raise KeyError(f"tests/interop/zoo.py: no input is known for the model {name}")


def save_feeds(path, samples):
    """An npz for --data: keys are input names; several feeds on a new first axis."""
    names = samples[0]
    np.savez(path, **{name: samples[0][name] if len(samples) == 1 else
                      np.stack([sample[name] for sample in samples]) for name in names})


class Forks:
    """A lathe that has LibTorch loaded and runs each command in a fork (../cli/forks)."""

    def __init__(self, binary, library):
        requests, self.requests = os.pipe()
        self.replies, replies = os.pipe()
        environment = {**os.environ, "LD_PRELOAD": library, "GOMP_SPINCOUNT": "1000",
                       "OPENBLAS_THREAD_TIMEOUT": "4"}
        os.dup2(requests, 100)
        os.dup2(replies, 101)
        self.serving = subprocess.Popen([binary], env=environment, pass_fds=(100, 101))
        for descriptor in (requests, replies, 100, 101):
            os.close(descriptor)

    def run(self, words):
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            text = b"".join(os.fsencode(word) + b"\0" for word in ("", out.name, err.name, *words))
            os.write(self.requests, struct.pack("=QQQ", len(text), 2**64 - 1, 2**64 - 1) + text)
            for _ in ("started", "ended"):
                _, status, _ = struct.unpack("=iiq", os.read(self.replies, 16))
            return subprocess.CompletedProcess(words, os.waitstatus_to_exitcode(status),
                                               out.read().decode(), err.read().decode())


@functools.cache
def forks(binary):
    library = os.path.join(os.path.dirname(binary), "tests", "libtest_cli_forks.so")
    return Forks(binary, library) if os.path.exists(library) else None


def lathe(binary, *arguments, check=True):
    """Runs lathe; what it said is in the message when it fails."""
    words = [binary, *map(str, arguments)]
    serving = forks(binary)
    done = serving.run(words) if serving else subprocess.run(words, capture_output=True, text=True)
    if check and done.returncode != 0:
        told = done.stderr if "--json" in arguments else done.stdout + done.stderr
        raise AssertionError(f"lathe {' '.join(words[1:])}: code {done.returncode}\n{told[-3000:]}")
    return done


def relative_error(expected, got):
    """max|a-b| / max|a|; NaN and infinity must be in the same places."""
    expected, got = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    if expected.shape != got.shape:
        raise AssertionError(f"shapes differ: {expected.shape} and {got.shape}")
    if not np.array_equal(np.isfinite(expected), np.isfinite(got)):
        return float("inf")
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    difference = np.abs(expected[finite] - got[finite]).max()
    return float(difference / max(np.abs(expected[finite]).max(), 1e-30))


def sqnr_db(reference, got):
    """10 log10(sum a^2 / sum (a-b)^2) over all elements."""
    reference = np.concatenate([np.ravel(array) for array in reference]).astype(np.float64)
    got = np.concatenate([np.ravel(array) for array in got]).astype(np.float64)
    noise = np.square(reference - got).sum()
    return float("inf") if noise == 0 else float(10 * np.log10(np.square(reference).sum() / noise))
