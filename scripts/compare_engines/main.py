"""Compares engines on networks of the zoo and other files: see scripts/compare_engines.sh.

Latencies are in ms: the median of the rounds' medians, and the least of all. "of lathe": in parts
of lathe's with the same precision; more than 1 means that lathe is faster. "of peak": two
operations a multiply-add, over the median and the rate that `lathe bench --doctor` measures. Load:
until the first execution can start. Memory: the most that was resident, in MiB, with interpreter
and libraries. Busy (--busy N): the median beside N processes that never rest, over that without.
"""

import argparse
import fnmatch
import json
import os
import sys

import bench_lathe
import engines
import files
import loading
import rounds
import tables

DEFAULT_MODELS = "resnet50,mobilenet_v2,efficientnet_b0,yolov5s,bert_base"


def options():
    parser = argparse.ArgumentParser(prog="scripts/compare_engines.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lathe", help=argparse.SUPPRESS)
    parser.add_argument("root", help=argparse.SUPPRESS)
    parser.add_argument("--models", default=DEFAULT_MODELS, metavar="LIST",
                        help="names of the zoo (lathe zoo lists them), or .onnx files "
                        "(default %(default)s)")
    parser.add_argument("--threads", default="1", metavar="LIST", help="default %(default)s")
    parser.add_argument("--batch", default="1", metavar="LIST", help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="S",
                        help="of each engine in each round (default %(default)s)")
    parser.add_argument("--only", default="*", metavar="LIST",
                        help="of " + ", ".join(engine.name for engine in engines.FILES +
                                                  [other for other in engines.ENGINES
                                                   if not other.mode]) +
                        "; patterns such as ort-*")
    parser.add_argument("--files", action="store_true",
                        help="lathe's files of every mode in other runtimes, beside those of their "
                        "own quantizers; code 1 where one takes more than 1.05 of their time")
    parser.add_argument("--loading", action="store_true",
                        help="what loading costs instead: time and memory of lathe's plans and of "
                        "ONNX Runtime's sessions, float and int8")
    parser.add_argument("--lathe-engine", default="native", metavar="NAME",
                        help="of lathe bench --engine (default %(default)s)")
    parser.add_argument("--busy", type=int, default=0, metavar="N",
                        help="measure each round beside N busy processes, too")
    parser.add_argument("--json", metavar="FILE", help="all figures")
    chosen = parser.parse_args()
    try:
        chosen.threads = [int(item) for item in chosen.threads.split(",")]
        chosen.batch = [int(item) for item in chosen.batch.split(",")]
    except ValueError:
        parser.error("--threads and --batch are lists of numbers")
    if min(chosen.threads + chosen.batch + [chosen.rounds]) < 1 or chosen.seconds <= 0:
        parser.error("--threads, --batch, --rounds and --seconds are above 0")
    if chosen.busy < 0:
        parser.error("--busy is a number of processes")
    offered = engines.FILES if chosen.files else engines.ENGINES
    chosen.engines = [engine for engine in offered if any(
        fnmatch.fnmatch(engine.name, item) for item in chosen.only.split(","))]
    if not chosen.engines:
        parser.error("--only names none of the engines")
    return chosen


def model_of(name, lathe, folder):
    """A file by its path, or a network of the zoo, written when it is not there yet."""
    if name.endswith(".onnx"):
        if not os.path.isfile(name):
            raise files.Failed("no such file")
        return files.Model(os.path.basename(name)[:-5], os.path.abspath(name), lathe, folder)
    path = os.path.join(folder, "zoo", f"{lathe.seal[:16]}", f"{name}.onnx")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        lathe.run("zoo", name, "-o", path, "--quiet")
    return files.Model(name, path, lathe, folder)


class Peaks:
    """Measured before each model: on a busy machine the highest is nearest the truth."""

    def __init__(self, lathe, threads):
        self.lathe, self.best = lathe, {count: {} for count in threads}

    def measure(self):
        for count, best in self.best.items():
            try:
                for dtype, gops in bench_lathe.peaks(self.lathe, count).items():
                    best[dtype] = max(gops, best.get(dtype, 0))
            except (files.Failed, KeyError, TypeError) as error:
                print(f"peaks of {count} threads: {error}", file=sys.stderr)

    def text(self):
        return "; ".join(f"threads {count}: int8 {best.get('int8', 0):.0f}, float32 "
                         f"{best.get('float32', 0):.0f}" for count, best in self.best.items())


def load_text():
    return f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"


def compare_loading(chosen, lathe, folder):
    models, problems = [], []
    for name in chosen.models.split(","):
        try:
            models.append(model_of(name, lathe, folder))
        except (files.Failed, OSError, ValueError) as error:
            problems.append(f"{name}: {error}")
    rows, more = loading.compare(models, chosen.threads[0], chosen.rounds, folder)
    problems += more
    print("\n".join(problems))
    if chosen.json:
        with open(chosen.json, "w") as file:
            json.dump({"rows": rows, "problems": problems}, file, indent=1)
    return 1 if problems else 0


def compare(chosen, lathe, folder, peaks):
    cases, problems = [], []
    for name in chosen.models.split(","):
        try:
            model = model_of(name, lathe, folder)
        except (files.Failed, OSError, ValueError) as error:
            problems.append(f"{name}: {error}")
            print(problems[-1], flush=True)
            continue
        wanted = [engine for engine in chosen.engines if engine.suits(model)]
        peaks.measure()
        for threads in chosen.threads:
            for batch in chosen.batch:
                rows = rounds.measure(model, threads, batch, chosen, wanted)
                for row in rows:
                    if row["failure"] is None:
                        row["share_of_peak"] = tables.share_of_peak(row, model, peaks.best[threads])
                cases.append(rows)
                print(f"{model.name}, threads {threads}, batch {batch}; {load_text()}")
                tables.print_case(rows)
    return cases, problems


def main():
    chosen = options()
    lathe = files.Lathe(os.path.abspath(chosen.lathe))
    folder = os.path.join(chosen.root, "build", "compare_engines")
    if chosen.loading:
        return compare_loading(chosen, lathe, folder)
    peaks = Peaks(lathe, chosen.threads)
    print(f"{chosen.rounds} rounds of {chosen.seconds:g} s an engine\n", flush=True)
    cases, problems = compare(chosen, lathe, folder, peaks)
    print(f"measured peaks, 10^9 operations a second: {peaks.text()}")
    tables.print_means(cases)
    lines, values = tables.verdicts(cases)
    slow = []
    if chosen.files:
        lines, values, slow = tables.file_verdicts(cases)
    print("\n".join(lines))
    if chosen.json:
        with open(chosen.json, "w") as file:
            json.dump({"rounds": chosen.rounds, "seconds": chosen.seconds, "peaks_gops": peaks.best,
                       "rows": [row for rows in cases for row in rows], "verdicts": values,
                       "problems": problems}, file, indent=1)
    return 1 if problems or slow else 0


if __name__ == "__main__":
    sys.exit(main())
