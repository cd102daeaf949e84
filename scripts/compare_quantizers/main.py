"""Compares quantizers on the real models: see scripts/compare_quantizers.sh for what each is given.

Seconds are wall time from start to end of a process (Python's imports are in the others'), CPU
seconds tell more on a busy machine; memory is the largest resident set. SQNR is that of the worst
output; each one's stands in the JSON file. Latencies: one thread, in turns with the float model.
"""

import argparse
import dataclasses
import fnmatch
import glob
import os
import sys

import numpy as np

# What the interoperability tests know about the models and their inputs.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests",
                                "interop"))
import execute
import hard_cases
import subjects
import tables
import zoo
from comparison import OTHERS, Comparison


def options():
    parser = argparse.ArgumentParser(prog="scripts/compare_quantizers.sh")
    parser.add_argument("lathe", help=argparse.SUPPRESS)
    parser.add_argument("root", help=argparse.SUPPRESS)
    parser.add_argument("shared", nargs="?", default="../shared",
                        help="folder with models/ and data/ (default ../shared)")
    parser.add_argument("--models", default="*", metavar="GLOB",
                        help="file names without ending; several with commas")
    parser.add_argument("--tools", default="lathe," + ",".join(OTHERS), metavar="LIST",
                        help="of lathe, " + ", ".join(OTHERS))
    parser.add_argument("--efforts", default="balanced", metavar="LIST",
                        help="lathe quantize --effort; 'default' gives no flag")
    parser.add_argument("--calibration", default="0", metavar="LIST",
                        help="samples to calibrate on; 0: all that there are (default); 16+32: 16 of "
                             "them behind the first 32, another draw")
    parser.add_argument("--lathe-flags", default="", metavar="FLAGS", help="more flags for lathe")
    parser.add_argument("--again", action="store_true", help="take nothing from earlier runs")
    parser.add_argument("--latency-seconds", type=float, default=1.5, metavar="S",
                        help="for each file; 0 measures no latency")
    parser.add_argument("--time-limit", type=float, default=1200, metavar="S",
                        help="for one tool on one model")
    parser.add_argument("--memory-limit", type=float, default=14, metavar="GIB",
                        help="address space of one tool")
    return parser.parse_args()


def reading_check(comparison, lathe):
    """None, or how lathe read the samples otherwise: its float outputs beside ONNX Runtime's."""
    out = os.path.join(comparison.folder, "samples", comparison.name, "outputs.npz")
    done = zoo.lathe(lathe, "run", comparison.path, "--data", comparison.spec, "--samples", 2, "-o",
                     out, "--force", "--quiet", check=False)
    if done.returncode != 0:
        return f"lathe run: code {done.returncode}: {' '.join(done.stderr.split())[:160]}"
    subject = dataclasses.replace(comparison.subject, carry={}, initial={},
                                  evaluation=comparison.subject.calibration[:2])
    names, expected = execute.outputs(comparison.path, subject)
    with np.load(out) as got:
        for index, name in enumerate(names):
            both = np.stack([values[index] for values in expected])
            worst = zoo.relative_error(both, got[name].reshape(both.shape))
            if worst > 5e-3:
                return f"lathe run differs from ONNX Runtime by {worst:.1e} at {name}"
    return None


def whole_cases(chosen, models, data, folder, warnings):
    """(name, path of the model, subject): the real models, then those that are made to be hard."""
    def wanted(name):
        return any(fnmatch.fnmatch(name, item) for item in chosen.models.split(","))
    for path in sorted(glob.glob(os.path.join(models, "*.onnx"))):
        name = os.path.basename(path)[:-5]
        if not wanted(name):
            continue
        if name in subjects.LEFT_OUT or name not in subjects.SUBJECTS:
            warnings.append(f"{name}: not compared: "
                            f"{subjects.LEFT_OUT.get(name, 'no samples are known for it')}")
            continue
        context = subjects.Context(chosen.root, models, data, path)
        yield name, path, subjects.SUBJECTS[name](context)
    made = os.path.join(folder, "models")
    os.makedirs(made, exist_ok=True)
    for name, make in hard_cases.MADE.items():
        if wanted(name):
            path = os.path.join(made, name + ".onnx")
            yield name, path, make(path)


def cases(chosen, models, data, folder, warnings):
    """The same with as many samples to calibrate on as asked for, "@8" behind the name."""
    for name, path, subject in whole_cases(chosen, models, data, folder, warnings):
        for part in chosen.calibration.split(","):
            count, first = (int(number) for number in (part + "+0").split("+")[:2])
            if count == 0:
                yield name, path, subject
            elif first + count <= len(subject.calibration) and count < len(subject.calibration):
                few = subject.calibration[first:first + count]
                yield f"{name}@{part}", path, dataclasses.replace(subject, calibration=few)


def compare_all(chosen):
    models, data = (os.path.join(chosen.shared, part) for part in ("models", "data"))
    if not os.path.isdir(models) or not os.path.isdir(data):
        print(f"nothing to compare: no models/ and data/ in {chosen.shared}")
        sys.exit(0)
    folder = os.path.join(chosen.root, "build", "compare_quantizers")
    rows, warnings = [], []
    for name, path, subject in cases(chosen, models, data, folder, warnings):
        comparison = Comparison(chosen, folder, name, path, subject)
        if "lathe" in chosen.tools.split(","):
            differs = reading_check(comparison, chosen.lathe)
            warnings += [f"{name}: {differs}"] if differs else []
        found = comparison.rows()
        rows += found
        tables.print_rows(found, comparison.subject, len(rows) == len(found))
    unread = [os.path.basename(path) for path in glob.glob(os.path.join(models, "*.pt")) +
              glob.glob(os.path.join(models, "*.jit"))]
    if unread and chosen.models == "*":
        warnings.append(f"{', '.join(sorted(unread))}: not compared: TorchScript, which neither "
                        "ONNX Runtime's quantizer nor NNCF's ONNX backend reads")
    return rows, warnings


def main():
    chosen = options()
    for name in ("root", "shared", "lathe"):
        setattr(chosen, name, os.path.abspath(getattr(chosen, name)))
    unknown = set(chosen.tools.split(",")) - {"lathe", *OTHERS}
    if unknown:
        print(f"--tools: {', '.join(sorted(unknown))}: not one of lathe, {', '.join(OTHERS)}",
              file=sys.stderr)
        sys.exit(2)
    results = os.path.join(chosen.root, "build", "compare_quantizers", "results")
    with tables.Copied(results):
        tables.print_heading(chosen)
        rows, warnings = compare_all(chosen)
        summary = tables.print_summary(rows, warnings)
    tables.write(results, rows, summary, warnings)


if __name__ == "__main__":
    main()
