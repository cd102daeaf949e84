"""What emx-onnx-cgen (from PyPI) makes of a network, counted on an emulated Cortex-M4 as
`lathe bench --engine qemu-m4` counts: the same compiler, flags, start-up code and clock."""
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile

GUEST = pathlib.Path(__file__).resolve().parents[2] / "lib/emulation/guest"
FLAGS = ["-std=c99", "-O2", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-mthumb",
         "--specs=nosys.specs", "-DCOUNTER_CMSDK"]
REGIONS = {"vectors_origin": 0, "vectors_length": 64, "flash_origin": 64, "flash_length": 0x3FFFC0,
           "ram_origin": 0x20000000, "ram_length": 0x400000}
TICKS = 64 / 40  # of the board's clock, an instruction


def elements(declaration):
    count = 1
    for size in re.findall(r"\[(?:restrict )?(\d+)\]", declaration):
        count *= int(size)
    return count


def counted(model):
    """Instructions of one inference; None without the programs."""
    program = shutil.which("emx-onnx-cgen")
    if program is None or shutil.which("qemu-system-arm") is None:
        return None
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        subprocess.run([program, "compile", model.resolve(), folder / "net.c"], check=True,
                       capture_output=True)
        source = (folder / "net.c").read_text()
        signature, = re.findall(r"^void model\((const int8_t [^,]*), (int8_t [^)]*)\)", source,
                                re.MULTILINE)
        size_in, size_out = (elements(port) for port in signature)
        (folder / "network.h").write_text(
            f"enum {{ ARENA_BYTES = 8, INPUTS = 1, INPUT_BYTES = {size_in}, OUTPUTS = 1, "
            f"OUTPUT_BYTES = {size_out}, STEPS = 1 }};\n"
            "static const uint32_t input_offsets[] = {0};\n"
            "static const uint32_t output_offsets[] = {0};\n")
        (folder / "call.c").write_text(
            "#include <stdint.h>\nvoid model(const int8_t *in, int8_t *out);\n"
            "void lathe_call(void *arena, const void *const *in, void *const *out) {\n"
            "  (void)arena;\n  model(in[0], out[0]);\n}\n")
        units = [GUEST / "measure.c", GUEST / "startup_cortex_m.c", folder / "call.c",
                 folder / "net.c"]
        subprocess.run(["arm-none-eabi-gcc", *FLAGS, "-w", "-ffunction-sections",
                        "-Wl,--gc-sections", "-nostartfiles", "-T", GUEST / "board.ld",
                        *(f"-Wl,--defsym={name}={value:#x}" for name, value in REGIONS.items()),
                        f"-I{folder}", f"-I{GUEST}", *units, "-o", folder / "net.elf", "-lm"],
                       check=True)
        (folder / "inputs").write_bytes(bytes(i * 37 % 256 for i in range(size_in)))
        (folder / "counts").write_bytes(b"")
        subprocess.run(["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-nic", "none",
                        "-icount", "shift=6", "-semihosting-config", "enable=on,target=native",
                        "-kernel", "net.elf"], cwd=folder, check=True, timeout=600)
        # In the order of guest/measure.c: what reading the clock takes comes first, the run fifth.
        words = struct.unpack("<5I", (folder / "counts").read_bytes()[:20])
        return round((words[4] - words[0]) / TICKS)
