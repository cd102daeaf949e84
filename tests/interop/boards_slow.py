"""Networks that lathe quantizes, from start to end on emulated boards: as accurate on real data as in
the interpreter, the same instructions on every run.

usage: boards_slow.py LATHE SOURCE"""
import json
import pathlib
import subprocess
import sys
import tempfile

import onnx

CIFAR = {"array": "images", "layout": "NHWC", "scale": 1 / 255, "mean": [0.4914, 0.4822, 0.4465],
         "std": [0.2471, 0.2435, 0.2616]}
IMAGENET = {"color": "rgb", "resize_short": 110, "center_crop": 96, "scale": 1 / 255,
            "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
FACES = {"color": "rgb", "resize": [240, 320], "mean": [127, 127, 127], "std": [128, 128, 128]}
BOARDS = ("qemu-m7", "qemu-m55")


def lathe(tool, *arguments):
    done = subprocess.run([tool, *map(str, arguments), "--quiet"], capture_output=True, text=True)
    if done.returncode == 6 and "emulation.program" in done.stderr:
        sys.exit("skipped: " + done.stderr)
    assert done.returncode == 0, f"{arguments}: {done.returncode} {done.stderr}"
    return done.stdout


def spec(folder, name, **fields):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(fields))
    return path


def at_96(model, folder):
    """MobileNetV2 for pictures of 96 x 96: nothing else in the graph depends on their size."""
    network = onnx.load(model)
    for dim in network.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_value = 96
    del network.graph.value_info[:]
    path = folder / "mobilenet_v2_96.onnx"
    onnx.save(network, path)
    return path


def networks(shared, folder):
    """Name, model, calibration data, data to run on."""
    models, data = shared / "models", shared / "data"
    cifar = {"format": "npz", "inputs": {"*": CIFAR}}
    yield ("cifar10_resnet_4b", models / "cifar10_resnet_4b.onnx",
           spec(folder, "cifar_train", **cifar, path=str(data / "cifar10/train.npz"), limit=128),
           spec(folder, "cifar_test", **cifar, path=str(data / "cifar10/test.npz"), limit=60,
                labels="labels"))
    pictures = {"format": "images", "path": str(data / "imagenet300"),
                "labels": str(data / "imagenet300/labels.csv"), "inputs": {"*": IMAGENET}}
    yield ("mobilenet_v2 at 96", at_96(models / "mobilenet_v2_imagenet.onnx", folder),
           spec(folder, "imagenet_train", **pictures, limit=100),
           spec(folder, "imagenet_test", **pictures, skip=100, limit=30))
    faces = spec(folder, "faces", format="images", path=str(data / "faces"), inputs={"*": FACES})
    yield "ultraface", models / "ultraface_RFB_320.onnx", faces, None
    yield "cct", models / "cct_2_32_op20.onnx", models / "cct_2_32_op20.inputs.npz", None
    yield "pcb_simple_cnn", models / "pcb_simple_cnn_fp32.onnx", "random", None
    yield "lstm_autoencoder", models / "lstm_autoencoder.onnx", "random", None


def main():
    tool, source = sys.argv[1], pathlib.Path(sys.argv[2])
    shared = source.parent / "shared"
    if not (shared / "models/tiny").is_dir():
        print("skipped: no shared models")
        return
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        for name, model, train, test in networks(shared, folder):
            quantized = folder / f"{model.stem}.int8.onnx"
            lathe(tool, "quantize", model, "-o", quantized, "--data", train, "--samples", 64,
                  "--profile", "cortex-m7", "--effort", "fast")
            data = [] if test is None else ["--data", test]
            accuracies = {}
            for engine in (*BOARDS, "interpreter"):
                report = json.loads(lathe(tool, "bench", quantized, "--engine", engine, "--json",
                                          "--max-time", "1s", *data))
                row = report["cases"][0]
                accuracies[engine] = row.get("quality", {}).get("value")
                if engine == "interpreter":
                    continue
                counted = row["emulated"]
                # Integers round where the interpreter's floats do not.
                assert counted["outputs"]["relative_error"] < 0.1, f"{name}: {counted['outputs']}"
                print(f"{name} on {engine}: {counted['instructions'] / 1e6:.1f} M instructions, RAM "
                      f"{counted['ram_bytes']}, flash {counted['flash_bytes']}, accuracy "
                      f"{accuracies[engine]}, at most {counted['outputs']['relative_error']:.1e} from "
                      "the interpreter")
            if test is not None:
                assert accuracies["qemu-m7"] == accuracies["qemu-m55"], f"{name}: {accuracies}"
                assert abs(accuracies["qemu-m7"] - accuracies["interpreter"]) < 0.04, \
                    f"{name}: {accuracies}"


main()
