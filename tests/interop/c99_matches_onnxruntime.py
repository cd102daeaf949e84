"""lathe compile --target c99: what the C gives is what ONNX Runtime gives, byte for byte where that
computes in integers, whatever compiler and optimization; warnings of the compilers are errors. Where
ONNX Runtime leaves an op of an integer model in float, the two differ no more often than it does
from itself without its optimizations.

usage: c99_matches_onnxruntime.py LATHE SOURCE"""
import ctypes
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
SAMPLES = 100


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
    session = session_of(model, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
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


def session_of(model, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def check(lathe, model, folder, is_integer):
    session = session_of(model, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    plain = session_of(model, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    source = compiled(lathe, model, folder)
    header = source.with_suffix(".h").read_text()
    compilers = [c for c in ("gcc", "clang") if shutil.which(c)]
    libraries = [built(compilers[0], source, "-O2")]
    for compiler in compilers:
        for level in ("-O0", "-O2", "-Os"):
            libraries.append(built(compiler, source, level))
    rng = np.random.default_rng(1)
    differing = of_itself = 0
    worst = 0.0
    for sample in range(SAMPLES):
        inputs = [random_input(rng, info) for info in session.get_inputs()]
        feed = dict(zip([i.name for i in session.get_inputs()], inputs))
        expected = session.run(None, feed)
        of_itself += sum(int((a != b).sum()) for a, b in zip(expected, plain.run(None, feed)))
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
    print(f"{name}: {differing} elements differ in {SAMPLES} samples ({of_itself} of ONNX Runtime "
          f"from itself), at most {worst:.2e}")
    assert worst < 2e-2, name
    if is_integer:
        assert differing <= of_itself, name


def main():
    lathe, root = sys.argv[1], pathlib.Path(sys.argv[2])
    tiny = root.parent / "shared" / "models" / "tiny"
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        glyphs = folder / "glyphs.int8.onnx"
        subprocess.run([lathe, "quantize", root / "scripts" / "glyphs.onnx", "-o", glyphs, "--data",
                        "random", "--effort", "fast", "--quiet"], check=True)
        check(lathe, str(glyphs), folder, False)
        check_weights_apart(lathe, str(glyphs), folder)
        check(lathe, str(root / "scripts" / "glyphs.onnx"), folder, False)
        if not tiny.is_dir():
            print("skipped: no shared models")
            return
        for name in ("kws", "vww", "ic", "ad01"):
            check(lathe, str(tiny / f"{name}_qdq.onnx"), folder, True)


main()
