"""What distillation gives real networks (label slow): students of CIFAR-10 and of an LSTM.

usage: distill_accuracy_slow.py LATHE SOURCE_DIR [CHECK]...
"""

import numpy as np
import onnx
from onnx import numpy_helper

import pictures
import zoo
from accuracy_slow import run_checks
from prune_accuracy_slow import accuracy_in_onnxruntime, stages, unlabelled, windows

TEACHER_TOP1 = 0.763
SEEDS = (0, 1, 2)
RECIPE = ("--epochs", 10, "--lr-schedule", "cosine", "--augment", "flip,crop")
FRESH = ("--student-width", "50%", "--student-init", "fresh", "--lr", "5e-3", *RECIPE)


def distilled(setting, output, *more, data=None):
    """The report of a student of cifar10_resnet_4b."""
    data = data or setting.cifar("train", pictures.RESNET_STD)
    return setting.lathe("distill", "--teacher", setting.model("cifar10_resnet_4b"), "-o", output,
                         "--data", data, "--eval", setting.cifar("test", pictures.RESNET_STD),
                         "--latency", "off", "--force", *more)


def said(report):
    training = report["training"]
    return f"{training['seconds']:.0f} s, {training['samples_per_s']:.0f} samples/s"


def narrow_fresh(setting, checks):
    """A student of half the width, fresh: distilled against labels alone, three seeds."""
    output = setting.made("narrow.onnx")
    taught, labels = [], []
    for seed in SEEDS:
        common = (*FRESH, "--seed", seed)
        report = distilled(setting, output, *common)
        taught.append(stages(report)["distilled"][0])
        sizes = report["sizes"]
        print(f"         seed {seed}: distilled {taught[-1]}, {said(report)}", flush=True)
        report = distilled(setting, output, *common, "--alpha", "0")
        labels.append(stages(report)["distilled"][0])
        print(f"         seed {seed}: labels alone {labels[-1]}, {said(report)}", flush=True)
    checks.expect("share of MACs", sizes["after"]["macs"] / sizes["before"]["macs"], 0.2, 0.32)
    checks.expect("top1 distilled, mean of three seeds", float(np.mean(taught)), 0.6)
    checks.expect("points above labels alone", 100 * float(np.mean(taught) - np.mean(labels)), 1)


def narrow_unlabelled(setting, checks):
    """The same student without any labels."""
    output = setting.made("unlabelled.onnx")
    data = unlabelled(setting.cifar("train", pictures.RESNET_STD))
    report = distilled(setting, output, *FRESH, data=data)
    if report["training"]["labels"]:
        checks.missed.append("labels were used")
    reached = stages(report)["distilled"][0]
    print(f"         {said(report)}")
    checks.expect("top1 without labels", reached, 0.6)
    checks.expect("top1 in ONNX Runtime against lathe",
                  accuracy_in_onnxruntime(setting, output) - reached, -0.002, 0.002)


def narrow_inherited(setting, checks):
    """A student of half the width that inherits the teacher's weights, repaired."""
    report = distilled(setting, setting.made("inherited.onnx"), "--student-width", "50%", *RECIPE,
                       "--lr", "2e-3")
    print(f"         start {stages(report)['start'][0]}, {said(report)}")
    checks.expect("top1 inherited", stages(report)["distilled"][0], 0.68)


def int4(setting, checks):
    """Per-tensor int4 weights, rounded to nearest and trained without labels."""
    output = setting.made("int4.onnx")
    data = unlabelled(setting.cifar("train", pictures.RESNET_STD))
    report = distilled(setting, output, "--quantization-aware", "--mode", "weight-only",
                       "--weight-bits", 4, "--weight-granularity", "tensor", "--step-sizes",
                       "follow", "--epochs", 3, "--lr", "5e-4", "--lr-schedule", "cosine",
                       data=data)
    rounded, reached = stages(report)["start"][0], stages(report)["distilled"][0]
    print(f"         {said(report)}")
    checks.expect("top1 rounded to nearest", rounded, 0.72, 0.736)
    checks.expect("share of the drop won back", (reached - rounded) / (TEACHER_TOP1 - rounded),
                  2 / 3)
    checks.expect("top1 in ONNX Runtime against lathe",
                  accuracy_in_onnxruntime(setting, output) - reached, -0.003, 0.003)


def sparse(setting, checks):
    """Half of the elements pruned, then distilled from the dense teacher."""
    pruned, output = setting.made("pruned.onnx"), setting.made("sparse.onnx")
    setting.lathe("prune", setting.model("cifar10_resnet_4b"), "-o", pruned, "--sparsity", "50%",
                  "--latency", "off")
    report = distilled(setting, output, "--student-from-pruned", pruned, "--epochs", 5, "--lr",
                       "1e-3", "--lr-schedule", "cosine", "--augment", "flip,crop")
    print(f"         start {stages(report)['start'][0]}, {said(report)}")
    checks.expect("top1 sparse", stages(report)["distilled"][0], TEACHER_TOP1 - 0.01)
    weights = {}
    for path in (pruned, output):
        for tensor in onnx.load(path).graph.initializer:
            if len(tensor.dims) >= 2:
                weights.setdefault(tuple(tensor.dims), []).append(numpy_helper.to_array(tensor))
    zeros = sum(int((array == 0).sum()) for arrays in weights.values() for array in arrays)
    elements = sum(array.size for arrays in weights.values() for array in arrays)
    checks.expect("share of zeros in both files", zeros / elements, 0.495, 0.505)


def lstm(setting, checks):
    """A student of half the units of lstm_autoencoder, taught by its outputs."""
    source, output = setting.model("lstm_autoencoder"), setting.made("lstm.onnx")
    name = zoo.session(source).get_inputs()[0].name
    data, judged = (setting.made(f"{part}.npz") for part in ("windows", "judged"))
    zoo.save_feeds(data, [{name: window} for window in windows(setting, 0, 0.6, 5)])
    feeds = [{name: window} for window in windows(setting, 0.6, 1, 60)]
    zoo.save_feeds(judged, feeds)
    report = setting.lathe("distill", "--teacher", source, "--student-width", "50%", "-o", output,
                           "--data", data, "--eval", judged, "--metric", "mse", "--epochs", 20,
                           "--lr", "3e-3", "--lr-schedule", "cosine", "--latency", "off")
    print(f"         start {stages(report)['start'][0]:.3g}, {said(report)}")
    before, after = zoo.session(source), zoo.session(output)
    pairs = [(before.run(None, feed)[0], after.run(None, feed)[0]) for feed in feeds]
    error = float(np.mean([np.square(a - b).mean() for a, b in pairs]))
    variance = float(np.concatenate([a.ravel() for a, _ in pairs]).var())
    checks.expect("error of the variance of the teacher's outputs, in ONNX Runtime",
                  error / variance, 0, 0.1)


CHECKS = [narrow_fresh, narrow_unlabelled, narrow_inherited, int4, sparse, lstm]


if __name__ == "__main__":
    run_checks(CHECKS)
