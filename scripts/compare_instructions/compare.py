"""Instructions of one inference on an emulated Arm processor, one thread: lathe's run time beside
ONNX Runtime's wheel for aarch64, on the same files, and LiteRT's, on what lathe makes of them. Instructions say nothing of time by themselves: caches,
pipelines and clocks do not exist here.
usage: compare.py LATHE RUNNER PLUGIN ARM_FOLDER [--cpu CPU] [--functions] [NETWORK|MODEL.onnx ...]"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

NETWORKS = ("mobilenet_v2", "resnet50", "efficientnet_b0", "crnn", "lstm_autoencoder")
# As the kernel would list them: ONNX Runtime looks there.
FEATURES = {"cortex-a53": "fp asimd", "cortex-a72": "fp asimd",
            "cortex-a76": "fp asimd atomics fphp asimdhp asimddp",
            "max": "fp asimd atomics fphp asimdhp asimddp i8mm bf16"}
RUNS = (1, 3)
# Instructions a MAC that nothing goes below: FMLA has four, SMULL and SADALP together eight, SDOT
# sixteen, USMMLA thirty-two.
LEAST = {"float": {cpu: 1 / 4 for cpu in FEATURES},
         "int8": {"cortex-a53": 1 / 4, "cortex-a72": 1 / 4, "cortex-a76": 1 / 16, "max": 1 / 32}}


def count(command, plugin, cpu, folder, environment, may_fail=False):
    """Instructions by function: those of RUNS[1] less those of RUNS[0], of one run."""
    counts = []
    for runs in RUNS:
        path = os.path.join(folder, f"count_{runs}")
        words = ["qemu-aarch64", "-cpu", cpu, "-plugin", f"{plugin},out={path}", *command, str(runs)]
        done = subprocess.run(words, env={**os.environ, **environment}, capture_output=True, text=True)
        if done.returncode != 0 and may_fail:
            return {}
        if done.returncode != 0:
            sys.exit(f"{' '.join(words)}: code {done.returncode}\n{done.stderr}")
        with open(path) as file:
            pairs = (line.rstrip("\n").split(" ", 1) for line in file)
            counts.append({name: int(number) for number, name in pairs})
    few, many = counts
    return {name: (number - few.get(name, 0)) / (RUNS[1] - RUNS[0]) for name, number in many.items()}


def print_functions(counts):
    largest = sorted(counts.items(), key=lambda pair: -pair[1])[:12]
    names = subprocess.run(["c++filt"], input="\n".join(name for name, _ in largest), text=True,
                           capture_output=True, check=True).stdout.splitlines()
    for (_, number), name in zip(largest, names):
        print(f"    {number / 1e6:9.2f} M  {name.replace('(anonymous namespace)::', '')[:90]}")


def write_cpuinfo(arm, cpu):
    """What ONNX Runtime reads of its processor; the emulator shows this folder's instead of ours."""
    for path, text in (("proc/cpuinfo", f"processor\t: 0\nFeatures\t: {FEATURES[cpu]}\n"
                        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\n"
                        "CPU part\t: 0xd0b\nCPU revision\t: 1\n\n"),
                       ("sys/devices/system/cpu/possible", "0\n"),
                       ("sys/devices/system/cpu/present", "0\n"),
                       ("sys/devices/system/cpu/online", "0\n"),
                       ("sys/devices/system/cpu/kernel_max", "31\n")):
        path = os.path.join(arm, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)


def litert(given, python, model, folder, environment):
    """LiteRT's instructions; 0 where the file or the network has no such form."""
    path = os.path.join(folder, "model.tflite")
    made = subprocess.run([given.lathe, "compile", model, "--target", "tflite", "-o", path, "--force",
                           "--verify", "off", "--profile", "litert", "--quiet"], capture_output=True)
    if made.returncode != 0:
        return 0
    return sum(count([*python, path], given.plugin, given.cpu, folder, environment, True).values())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lathe")
    parser.add_argument("runner")
    parser.add_argument("plugin")
    parser.add_argument("arm")
    parser.add_argument("--cpu", choices=FEATURES, default="cortex-a76")
    parser.add_argument("--functions", action="store_true", help="the largest of lathe's")
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    given = parser.parse_intermixed_args()
    arm = os.path.abspath(given.arm)
    write_cpuinfo(arm, given.cpu)
    python = ["-L", arm, os.path.join(arm, "usr/bin/python3.11")]
    scripts = os.path.dirname(os.path.abspath(__file__))
    environment = {"PYTHONHOME": os.path.join(arm, "usr"), "PYTHONPATH": os.path.join(arm, "site"),
                   "PYTHONHASHSEED": "0"}
    print(f"instructions of one inference, {given.cpu}, one thread (emulated: no times)")
    print(f"{'network':24} {'MACs':>9} {'lathe':>11} {'per MAC':>8} {'of least':>8} {'ONNX Runtime':>13} "
          f"{'ratio':>7} {'LiteRT':>11} {'ratio':>7}")
    ratios = {"float": [], "int8": []}
    with tempfile.TemporaryDirectory() as folder:
        for network in given.networks:
            name = os.path.splitext(os.path.basename(network))[0]
            models = {"float": network, "int8": os.path.join(folder, name + "_int8.onnx")}

            def lathe(*words):
                return subprocess.run([given.lathe, *words, "--quiet"], check=True, text=True,
                                      capture_output=True).stdout

            if not network.endswith(".onnx"):
                models["float"] = os.path.join(folder, name + ".onnx")
                lathe("zoo", network, "-o", models["float"])
            lathe("quantize", models["float"], "-o", models["int8"], "--data", "random",
                  "--samples", "4", "--effort", "fast")
            macs = json.loads(lathe("inspect", models["float"], "--json"))["inspect"]["known_macs"]
            for kind, model in models.items():
                plan = os.path.join(folder, "plan.lathe")
                lathe("compile", model, "-o", plan, "--target", "native", "--verify", "off", "--force")
                ours = count([given.runner, plan, "1"], given.plugin, given.cpu, folder, {})
                theirs = count([*python, os.path.join(scripts, "onnxruntime_runs.py"), model],
                               given.plugin, given.cpu, folder, environment)
                total, other = sum(ours.values()), sum(theirs.values())
                ratios[kind].append(total / other)
                lite = litert(given, python + [os.path.join(scripts, "litert_runs.py")], model, folder,
                              environment)
                beside = f"{lite / 1e6:9.2f} M {total / lite:7.3f}" if lite else f"{'-':>11} {'-':>7}"
                print(f"{name + ' ' + kind:24} {macs / 1e6:7.1f} M {total / 1e6:9.2f} M "
                      f"{total / macs:8.3f} {LEAST[kind][given.cpu] * macs / total:8.0%} {other / 1e6:11.2f} M {total / other:7.3f} {beside}", flush=True)
                if given.functions:
                    print_functions(ours)
    for kind, of_kind in ratios.items():
        mean = math.exp(sum(map(math.log, of_kind)) / len(of_kind))
        print(f"{kind}: geometric mean of the ratios {mean:.3f}, largest {max(of_kind):.3f}")


if __name__ == "__main__":
    main()
