"""lathe compile --target tflite, and .tflite files as input: LiteRT, TensorFlow Lite Micro and Vela
take what is written.

- A file that is read and written again gives the same bytes as it did, in LiteRT and in TFLM, and
  lies on the Ethos-U55 as a whole.
- Networks that lathe quantized are within one step of their integers in LiteRT, and as accurate.
- What lathe computes from a file of real numbers is what LiteRT computes.

usage: tflite_in_its_runtimes.py LATHE SOURCE"""
import csv
import ctypes
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import pictures
from ai_edge_litert.interpreter import Interpreter
from onnx import numpy_helper
from tflite_micro import runtime

SLOW = "LATHE_SLOW" in os.environ
SAMPLES = 200 if SLOW else 30
ACCURACY_SAMPLES = 2000 if SLOW else 500


def lathe(tool, *arguments):
    subprocess.run([tool, *map(str, arguments), "--quiet", "--force"], check=True)


def litert(model, samples):
    """The first output of each sample; samples lie as the file wants them."""
    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for sample in samples:
        interpreter.set_tensor(source["index"], sample.reshape(source["shape"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"]).copy())
    return np.concatenate(outputs)


def micro(model, samples):
    interpreter = runtime.Interpreter.from_file(str(model))
    shape = interpreter.get_input_details(0)["shape"]
    outputs = []
    for sample in samples:
        interpreter.set_input(sample.reshape(shape), 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0).copy())
    return np.concatenate(outputs)


def on_npu(model, folder, npu="ethos-u55-128"):
    """Whether Vela puts all operators on this NPU, and kilobytes of SRAM."""
    folder = folder / npu
    vela = pathlib.Path(sys.executable).with_name("vela")
    text = subprocess.run([vela, model, "--accelerator-config", npu, "--output-dir",
                           folder], check=True, capture_output=True, text=True).stdout
    summary, = folder.glob(f"{model.stem}_summary_*.csv")
    with open(summary, newline="") as file:
        return "CPU operators = 0 (0.0%)" in text, float(next(csv.DictReader(file))["sram_memory_used"])


def random_samples(model, count):
    interpreter = Interpreter(model_path=str(model))
    detail = interpreter.get_input_details()[0]
    rng = np.random.default_rng(3)
    shape = (count, *detail["shape"])
    if detail["dtype"] == np.int8:
        return rng.integers(-128, 128, shape, np.int8)
    return rng.standard_normal(shape).astype(np.float32)


def check_round_trip(tool, model, folder):
    again = folder / model.name
    lathe(tool, "compile", model, "--target", "tflite", "-o", again)
    samples = random_samples(model, SAMPLES)
    for name, run in (("LiteRT", litert), ("TFLM", micro)):
        assert run(model, samples).tobytes() == run(again, samples).tobytes(), f"{model.name}: {name}"
    whole, sram = on_npu(again, folder)
    assert whole, f"{model.name}: some operators stay on the CPU"
    assert on_npu(again, folder, "ethos-u65-256")[0], f"{model.name} on Ethos-U65"
    print(f"{model.name}: same bytes in LiteRT and TFLM, {model.stat().st_size} -> "
          f"{again.stat().st_size} bytes, wholly on Ethos-U55 with {sram:.1f} KiB")


def check_generated_code(tool, model, folder):
    """C with TFLM's rounding, built here, gives TFLM's bytes."""
    lathe(tool, "compile", model, "--target", "c99", "--rounding", "tflite", "-o", folder / "net.c",
          "--prefix", "net", "--profile", "tflm")
    subprocess.run(["cc", "-std=c99", "-O2", "-fPIC", "-shared", "-o", folder / f"{model.stem}.so",
                    folder / "net.c", "-lm"], check=True)
    code = ctypes.CDLL(str(folder / f"{model.stem}.so"))
    header = (folder / "net.h").read_text()
    arena = np.zeros(int(re.search(r"NET_ARENA_BYTES (\d+)", header).group(1)) + 8, np.uint8)
    samples = random_samples(model, SAMPLES)
    wanted = micro(model, samples)
    for sample, row in zip(samples, wanted):
        output = np.zeros_like(row)
        code.net_run(*(ctypes.c_void_p(array.ctypes.data)
                       for array in (arena, np.ascontiguousarray(sample), output)))
        assert output.tobytes() == row.tobytes(), f"{model.name}: C code with TFLM's rounding"
    print(f"{model.name}: C code gives TFLM's bytes on {SAMPLES} of {SAMPLES} inputs")


def check_floats(tool, model, folder):
    samples = random_samples(model, 8)
    detail = Interpreter(model_path=str(model)).get_input_details()[0]
    np.savez(folder / "in.npz", **{detail["name"]: samples[:, 0]})
    lathe(tool, "run", model, "--data", folder / "in.npz", "-o", folder / "out.npz")
    with np.load(folder / "out.npz") as file:
        found = file[file.files[0]]
    expected = litert(model, samples)
    error = np.abs(found.reshape(expected.shape) - expected).max() / np.abs(expected).max()
    print(f"{model.name}: lathe and LiteRT differ by {error:.1e}")
    assert error < 1e-5


def output_step(model):
    """The scale of the DequantizeLinear that makes the first output."""
    graph = onnx.load(model).graph
    constants = {one.name: one for one in graph.initializer}
    last, = [node for node in graph.node if graph.output[0].name in node.output]
    assert last.op_type == "DequantizeLinear", last.op_type
    return float(numpy_helper.to_array(constants[last.input[1]]))


def check_quantized(tool, model, folder, calibration, evaluation, labels=None):
    """Inputs are N, C, H, W."""
    name = onnx.load(model, load_external_data=False).graph.input[0].name
    np.savez(folder / "calibration.npz", **{name: calibration})
    np.savez(folder / "evaluation.npz", **{name: evaluation})
    integers, made = folder / f"{model.stem}.int8.onnx", folder / f"{model.stem}.tflite"
    lathe(tool, "quantize", model, "-o", integers, "--data", folder / "calibration.npz", "--profile",
          "litert", "--effort", "fast")
    lathe(tool, "compile", integers, "--target", "tflite", "-o", made, "--profile", "litert")
    lathe(tool, "run", integers, "--data", folder / "evaluation.npz", "-o", folder / "out.npz")
    with np.load(folder / "out.npz") as file:
        expected = file[file.files[0]].reshape(len(evaluation), -1)
    channels_last = evaluation.transpose(0, 2, 3, 1) if evaluation.ndim == 4 else evaluation
    found = litert(made, np.ascontiguousarray(channels_last)).reshape(expected.shape)
    steps = np.abs(found - expected) / output_step(integers)
    print(f"{model.stem}: {made.stat().st_size} bytes, LiteRT within {steps.max():.2f} steps of "
          f"lathe's integers, {100 * (steps > 0.5).mean():.2f} % differ")
    assert steps.max() < 1.01, model.stem
    if labels is not None:
        of_each = [float((one.argmax(1) == labels).mean()) for one in (found, expected)]
        print(f"  top-1 {of_each[0]:.4f} in LiteRT, {of_each[1]:.4f} of lathe's")
        assert abs(of_each[0] - of_each[1]) <= 0.002


def network(name, weight, shape, attributes, bounds=()):
    """A node with weights, and a Clip behind it."""
    constants = [numpy_helper.from_array(weight, "w")]
    nodes = [onnx.helper.make_node(name, ["x", "w"], ["c" if bounds else "y"], **attributes)]
    if bounds:
        constants += [numpy_helper.from_array(np.float32(bound), f"bound{i}")
                      for i, bound in enumerate(bounds) if bound is not None]
        nodes.append(onnx.helper.make_node(
            "Clip", ["c", *("" if bound is None else f"bound{i}" for i, bound in enumerate(bounds))],
            ["y"]))
    value = lambda name, shape: onnx.helper.make_tensor_value_info(name, 1, shape)
    graph = onnx.helper.make_graph(nodes, "g", [value("x", shape)], [value("y", [None] * 4)],
                                   constants)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)],
                                  ir_version=8)


# What LiteRT is particular about: sizes of transposed convolutions, infinite bounds.
def check_particular(tool, folder):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((1, 4, 5, 6), np.float32)
    wide, square = (rng.standard_normal(shape, np.float32) for shape in ((4, 3, 3, 4), (3, 4, 3, 3)))
    cases = [network("ConvTranspose", wide, x.shape, attributes)
             for attributes in ({"pads": [1, 1, 1, 1]},
                                {"strides": [2, 2], "pads": [1, 1, 1, 1]},
                                {"strides": [2, 2], "output_padding": [1, 0]},
                                {"strides": [2, 3], "output_padding": [1, 1]},
                                {"strides": [2, 2], "pads": [0, 1, 1, 1]},
                                {"strides": [2, 2], "output_shape": [10, 12]},
                                {"strides": [1, 2], "output_shape": [5, 12],
                                 "auto_pad": "SAME_UPPER"})]
    cases += [network("Conv", square, x.shape, {"pads": [1, 1, 1, 1]}, bounds)
              for bounds in ((0.1, None), (None, 0.2), (-0.3, 0.4))]
    for number, model in enumerate(cases):
        source, made = folder / f"case{number}.onnx", folder / f"case{number}.tflite"
        onnx.save(model, source)
        lathe(tool, "compile", source, "--target", "tflite", "-o", made)
        expected, = onnxruntime.InferenceSession(source).run(None, {"x": x})
        found = litert(made, [np.ascontiguousarray(x.transpose(0, 2, 3, 1))]).transpose(0, 3, 1, 2)
        assert found.shape == expected.shape, number
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max(), number
    print(f"{len(cases)} particular networks: the same in LiteRT and ONNX Runtime")


def recurrent(direction, rng):
    """An LSTM of which all states and the last ones are read."""
    both = 2 if direction == "bidirectional" else 1
    weights = [numpy_helper.from_array(rng.standard_normal(shape, np.float32) * 0.5, name)
               for name, shape in (("w", (both, 20, 3)), ("r", (both, 20, 5)), ("b", (both, 40)))]
    node = onnx.helper.make_node("LSTM", ["x", "w", "r", "b"], ["y", "h"], hidden_size=5,
                                 direction=direction)
    total = onnx.helper.make_node("Add", ["y", "h_"], ["sum"])
    wide = onnx.helper.make_node("Unsqueeze", ["h", "front"], ["h_"])
    weights.append(numpy_helper.from_array(np.array([0]), "front"))
    value = lambda name, shape: onnx.helper.make_tensor_value_info(name, 1, shape)
    graph = onnx.helper.make_graph([node, wide, total], "g", [value("x", (7, 2, 3))],
                                   [value("sum", [7, both, 2, 5])], weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)],
                                  ir_version=8)


def sequences(model, samples):
    """The first output of each sample in LiteRT, and in TFLM where that knows the operators: states
    begin at zero."""
    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for sample in samples:
        interpreter.reset_all_variables()
        interpreter.set_tensor(source["index"], sample.reshape(source["shape"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(result["index"]).copy())
    return np.stack(found)


def check_recurrent(tool, folder, autoencoder):
    rng = np.random.default_rng(9)
    models = []
    for direction in ("forward", "reverse", "bidirectional"):
        models.append(folder / f"{direction}.onnx")
        onnx.save(recurrent(direction, rng), models[-1])
    if autoencoder.exists():
        models.append(autoencoder)
        models.append(folder / "autoencoder.int8.onnx")
        lathe(tool, "quantize", autoencoder, "-o", models[-1], "--mode", "weight-only", "--profile",
              "cortex-m4")
    for model in models:
        made = folder / f"{model.stem}.tflite"
        lathe(tool, "compile", model, "--target", "tflite", "-o", made)
        session = onnxruntime.InferenceSession(model)
        name, shape = session.get_inputs()[0].name, session.get_inputs()[0].shape
        shape = [size if isinstance(size, int) else 1 for size in shape]
        samples = rng.standard_normal((3, *shape), np.float32)
        expected = np.stack([session.run(None, {name: sample})[0] for sample in samples])
        found = sequences(made, samples)
        assert np.abs(found - expected).max() < 2e-6 * max(1, np.abs(expected).max()), model.name
    # TFLM widens no weights with a scale a channel.
    for model in models[:1] + models[3:]:
        made = folder / f"{model.stem}.micro.tflite"
        lathe(tool, "compile", model, "--target", "tflite", "-o", made, "--profile", "tflm")
        samples = random_samples(made, 1)
        interpreter = runtime.Interpreter.from_file(str(made), arena_size=1 << 20)
        interpreter.set_input(samples[0], 0)
        interpreter.invoke()
        expected = sequences(made, samples)[0]
        assert np.abs(interpreter.get_output(0) - expected).max() < 1e-5, model.name
    print(f"{len(models)} recurrent networks: the same in LiteRT, TFLM and ONNX Runtime")


def main():
    tool, root = sys.argv[1], pathlib.Path(sys.argv[2])
    shared = root.parent / "shared"
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        check_particular(tool, folder)
        check_recurrent(tool, folder, shared / "models" / "lstm_autoencoder.onnx")
        digits = [folder / f"{name}.npz" for name in ("calibration", "evaluation")]
        for seed, path in enumerate(digits):
            subprocess.run([pathlib.Path(tool).with_name("lathe-glyphs"), "--seed", str(seed),
                            "--count", "200", "-o", path], check=True, capture_output=True)
        source = root / "scripts" / "glyphs.onnx"
        arrays = [np.load(path)["images"].astype(np.float32) for path in digits]
        check_quantized(tool, source, folder, *arrays)
        models, data = shared / "models", str(shared / "data")
        if not models.is_dir():
            print("skipped: no shared models")
            return
        for name in ("kws", "vww", "ic", "ad01", "sww"):
            check_round_trip(tool, models / "tiny" / f"{name}_int8.tflite", folder)
            check_generated_code(tool, models / "tiny" / f"{name}_int8.tflite", folder)
        for name in ("vww", "ic", "ad01"):
            check_floats(tool, models / "tiny" / f"{name}_fp32.tflite", folder)
        boards = models / "pcb_simple_cnn_fp32.onnx"
        shape = [size.dim_value or 1 for size in
                 onnx.load(boards).graph.input[0].type.tensor_type.shape.dim]
        rng = np.random.default_rng(0)
        check_quantized(tool, boards, folder,
                        *(rng.standard_normal((24, *shape[1:]), np.float32) for _ in range(2)))
        train = pictures.cifar(data, "train")[0][:128]
        images, labels = pictures.cifar(data)
        # The transformer's classes are in another order than CIFAR-10's.
        for name, std, classes in (("cifar10_resnet_4b", pictures.RESNET_STD, labels),
                                   ("cct_2_32_op20", pictures.VIT_STD, None)):
            prepared = [np.concatenate([pictures.normalized(image, pictures.CIFAR_MEAN, std)
                                        for image in part])
                        for part in (train, images[:ACCURACY_SAMPLES])]
            check_quantized(tool, models / f"{name}.onnx", folder, *prepared,
                            None if classes is None else classes[:ACCURACY_SAMPLES])


main()
