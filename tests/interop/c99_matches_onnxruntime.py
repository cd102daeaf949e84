"""lathe compile --target c99: what the C gives is what ONNX Runtime gives, byte for byte where that
computes in integers, whatever compiler and optimization; warnings of the compilers are errors.

ONNX Runtime for x86 turns int8 activations into uint8 and leaves what lies at such seams in float,
unless session.qdqisint8allowed says that int8 may stay, as it does on Arm by default.

usage: c99_matches_onnxruntime.py LATHE SOURCE"""
import ctypes
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
SAMPLES = 200


def compiled(lathe, model, folder, *flags):
    source = folder / "net.c"
    subprocess.run([lathe, "compile", model, "--target", "c99", "-o", source, "--force", "--quiet",
                    *flags], check=True)
    return source


def built(compiler, source, *flags):
    library = source.with_name(f"{compiler}{len(list(source.parent.iterdir()))}.so")
    subprocess.run([compiler, *STRICT, *flags, "-shared", "-fPIC", "-o", library, source, "-lm"],
                   check=True)
    return ctypes.CDLL(str(library))


def check_weights_apart(lathe, model, folder):
    """Two units, without a warning, give the bytes of one."""
    source = compiled(lathe, model, folder, "--weights-file")
    weights = source.with_name("net_weights.c")
    one = built("gcc", compiled(lathe, model, folder), "-O2")
    compiled(lathe, model, folder, "--weights-file")
    library = source.with_name("apart.so")
    attribute = "-DWEIGHTS_ATTRIBUTE=__attribute__((section(\".flash2\")))"
    subprocess.run(["gcc", *STRICT, attribute, "-O2", "-shared", "-fPIC", "-o", library, source,
                    weights, "-lm"], check=True)
    assert b".flash2" in library.read_bytes()
    header = source.with_suffix(".h").read_text()
    session = session_of(model)
    inputs = [random_input(np.random.default_rng(2), info) for info in session.get_inputs()]
    shapes = [(e.shape, e.dtype) for e in
              session.run(None, dict(zip([i.name for i in session.get_inputs()], inputs)))]
    for a, b in zip(run_c(ctypes.CDLL(str(library)), header, inputs, shapes),
                    run_c(one, header, inputs, shapes)):
        assert a.tobytes() == b.tobytes()


def run_c(library, header, inputs, outputs):
    arena = int(re.search(r"NET_ARENA_BYTES (\d+)", header).group(1))
    # Whatever was there, and nothing beyond it is touched.
    memory = np.full(arena + 64, 0xA5, np.uint8)
    start = -memory.ctypes.data % 16
    results = [np.empty(shape, dtype) for shape, dtype in outputs]
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in [*inputs, *results]]
    library.net_run(ctypes.c_void_p(memory.ctypes.data + start), *pointers)
    assert (memory[start + arena:] == 0xA5).all() and (memory[:start] == 0xA5).all()
    return results


def random_input(rng, info):
    shape = [d if isinstance(d, int) else 1 for d in info.shape]
    if info.type == "tensor(int8)":
        return rng.integers(-128, 128, shape, np.int8)
    if info.type == "tensor(uint8)":
        return rng.integers(0, 256, shape, np.uint8)
    return rng.standard_normal(shape).astype(np.float32)


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def check(lathe, model, folder, is_integer):
    session = session_of(model)
    source = compiled(lathe, model, folder)
    header = source.with_suffix(".h").read_text()
    compilers = [c for c in ("gcc", "clang") if shutil.which(c)]
    libraries = [built(compilers[0], source, "-O2")]
    for compiler in compilers:
        for level in ("-O0", "-O2", "-Os"):
            libraries.append(built(compiler, source, level))
    rng = np.random.default_rng(1)
    differing = 0
    worst = 0.0
    for sample in range(SAMPLES):
        inputs = [random_input(rng, info) for info in session.get_inputs()]
        feed = dict(zip([i.name for i in session.get_inputs()], inputs))
        expected = session.run(None, feed)
        shapes = [(e.shape, e.dtype) for e in expected]
        found = run_c(libraries[0], header, inputs, shapes)
        if sample < 2:
            for library in libraries[1:]:
                for a, b in zip(found, run_c(library, header, inputs, shapes)):
                    assert a.tobytes() == b.tobytes(), f"{model}: compilers disagree"
        for a, b in zip(found, expected):
            differing += int((a != b).sum())
            scale = max(1e-6, float(np.abs(b.astype(np.float64)).max()))
            worst = max(worst, float(np.abs(a.astype(np.float64) - b).max()) / scale)
    name = pathlib.Path(model).name
    print(f"{name}: {differing} elements differ in {SAMPLES} samples, at most {worst:.2e}")
    assert worst < 2e-2, name
    if is_integer:
        assert differing == 0, name


def integer_ops(path, dtype, rng):
    """Sums and products of two arrays, of one that repeats, averages of windows and of all pixels;
    random scales, and equal ones, of which halves come."""
    is_signed = dtype == np.int8
    low = -128 if is_signed else 0
    element = TensorProto.INT8 if is_signed else TensorProto.UINT8
    nodes, constants, outputs = [], [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.array(value), name))
        return name

    def scale_of(name, scale, zero):
        return [constant(name + "_scale", np.float32(scale)), constant(name + "_zero", dtype(zero))]

    def real(name, scale, zero):
        nodes.append(helper.make_node("DequantizeLinear", [name, *scale_of(name, scale, zero)],
                                      [name + "_real"]))
        return name + "_real"

    def result(name, op, inputs, scale, zero, shape, **attributes):
        nodes.append(helper.make_node(op, inputs, [name + "_float"], **attributes))
        nodes.append(helper.make_node("QuantizeLinear",
                                      [name + "_float", *scale_of(name, scale, zero)], [name]))
        outputs.append(helper.make_tensor_value_info(name, element, shape))

    def random_scale():
        return rng.uniform(0.01, 0.05)

    def random_zero():
        return int(rng.integers(low, low + 256))

    image = [1, 3, 9, 7]
    one, same_zero = random_scale(), random_zero()
    # Of each op an input of its own: what several read is quantized once for all.
    inputs = {}

    def fresh(name, shape, scale, zero):
        inputs[name] = helper.make_tensor_value_info(name, element, shape)
        return real(name, scale, zero)

    def some(name, shape):
        return fresh(name, shape, random_scale(), random_zero())

    result("sum", "Add", [some("a", image), some("b", image)], random_scale(), random_zero(), image)
    result("row_sum", "Add", [some("c", [7]), some("d", image)], random_scale(), random_zero(),
           image)
    result("product", "Mul", [some("e", image), some("f", image)], 20 * random_scale() ** 2,
           random_zero(), image)
    result("mean", "GlobalAveragePool", [some("g", image)], random_scale(), random_zero(),
           [1, 3, 1, 1])
    result("same_mean", "GlobalAveragePool", [fresh("h", [1, 3, 4, 4], one, same_zero)], one,
           same_zero, [1, 3, 1, 1])
    result("windows", "AveragePool", [some("i", image)], random_scale(), random_zero(),
           [1, 3, 5, 4], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 1, 1, 0])
    result("same_windows", "AveragePool", [fresh("j", image, one, same_zero)], one, same_zero,
           [1, 3, 4, 3], kernel_shape=[2, 2], strides=[2, 2])
    graph = helper.make_graph(nodes, "integer_ops", list(inputs.values()), outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
              path)


def main():
    lathe, root = sys.argv[1], pathlib.Path(sys.argv[2])
    tiny = root.parent / "shared" / "models" / "tiny"
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        glyphs = folder / "glyphs.int8.onnx"
        subprocess.run([lathe, "quantize", root / "scripts" / "glyphs.onnx", "-o", glyphs, "--data",
                        "random", "--effort", "fast", "--quiet"], check=True)
        check(lathe, str(glyphs), folder, True)
        check_weights_apart(lathe, str(glyphs), folder)
        check(lathe, str(root / "scripts" / "glyphs.onnx"), folder, False)
        rng = np.random.default_rng(3)
        for dtype in (np.int8, np.uint8):
            for trial in range(3):
                path = folder / f"{np.dtype(dtype).name}_ops_{trial}.onnx"
                integer_ops(path, dtype, rng)
                check(lathe, str(path), folder, True)
        if not tiny.is_dir():
            print("skipped: no shared models")
            return
        for name in ("kws", "vww", "ic", "ad01"):
            check(lathe, str(tiny / f"{name}_qdq.onnx"), folder, True)


main()
