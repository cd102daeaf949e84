"""See scripts/compare_tiny.sh.

usage: main.py LATHE ROOT SHARED"""
import pathlib
import re
import subprocess
import sys
import tempfile

# Millions of instructions, arena and flash in kB: TFLite Micro with CMSIS-NN on the same machine,
# compiler and optimization.
TFLM = {"kws": (7.70, 22.8, 136), "vww": (24.32, 100.7, 415), "ic": (29.89, 55.0, 175),
        "ad01": (0.588, 2.6, 306)}
M4 = ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-mthumb"]


def run(*command, **more):
    return subprocess.run([str(c) for c in command], check=True, text=True, capture_output=True,
                          **more)


def emulated(elf, plugin, runs):
    ended = run("qemu-system-arm", "-M", "mps2-an386", "-nographic", "-semihosting-config",
                f"enable=on,target=native,arg=net,arg={runs}", "-kernel", elf, "-plugin", plugin,
                "-d", "plugin")
    text = ended.stdout + ended.stderr
    stack, outputs = re.search(r"([0-9a-f]{8}) ([0-9a-f]{8})", text).groups()
    return int(re.search(r"instructions (\d+)", text).group(1)), int(stack, 16), outputs


def measured(lathe, root, shared, name, folder):
    here, example = root / "scripts/compare_tiny", root / "scripts/examples/microcontroller"
    run(lathe, "compile", shared / f"models/tiny/{name}_qdq.onnx", "--target", "c99", "--profile",
        "cortex-m4", "-o", folder / "net.c", "--force", "--verify", "off", "--quiet")
    run("gcc", "-shared", "-fPIC", "-O2", "-o", folder / "count.so",
        here / "count_instructions.c")
    run("arm-none-eabi-gcc", "-std=c99", "-O2", *M4, "-c", folder / "net.c", "-o",
        folder / "net.o")
    run("arm-none-eabi-gcc", "-std=c99", "-O2", *M4, "-ffunction-sections", "-Wl,--gc-sections",
        "-nostartfiles", "-T", example / "cortex_m.ld", f"-I{folder}", f"-I{example}",
        example / "startup.c", here / "measure.c", folder / "net.o", "-o", folder / "net.elf",
        "-lm")
    run("gcc", "-std=c99", "-O2", "-DON_HOST", f"-I{folder}", here / "measure.c",
        folder / "net.c", "-o", folder / "net.host", "-lm")
    once, stack, outputs = emulated(folder / "net.elf", folder / "count.so", 1)
    twice = emulated(folder / "net.elf", folder / "count.so", 2)[0]
    on_host = run(folder / "net.host", 1).stdout.split()[1]
    arena = int(re.search(r"NET_ARENA_BYTES (\d+)", (folder / "net.h").read_text()).group(1))
    sizes = run("arm-none-eabi-size", folder / "net.o").stdout.splitlines()[1].split()
    return (twice - once, arena, stack, int(sizes[0]) + int(sizes[1]), outputs == on_host)


def main():
    lathe, root, shared = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    if not (shared / "models/tiny").is_dir():
        sys.exit(f"{shared}/models/tiny is not there: the networks of MLPerf Tiny as QDQ ONNX")
    print("| network | M instructions | TFLM + CMSIS-NN | ratio | arena + stack, B | TFLM arena, kB "
          "| flash, kB | TFLM flash, kB | as on the host |")
    print("|---|---|---|---|---|---|---|---|---|")
    same = True
    for name, (instructions, ram, flash) in TFLM.items():
        with tempfile.TemporaryDirectory() as folder:
            count, arena, stack, bytes_, is_same = measured(lathe, root, shared, name,
                                                            pathlib.Path(folder))
        same = same and is_same
        print(f"| {name} | {count / 1e6:.3f} | {instructions} | {count / 1e6 / instructions:.2f} "
              f"| {arena} + {stack} | {ram} | {bytes_ / 1000:.1f} | {flash} "
              f"| {'yes' if is_same else 'NO'} |")
    sys.exit(0 if same else 1)


main()
