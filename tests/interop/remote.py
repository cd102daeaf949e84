"""bench --remote: an arm64 machine in an emulator behind a stand-in for ssh, what goes wrong on the
way, and (LATHE_SLOW=1) a real sshd on loopback. usage: remote.py LATHE ROOT"""

import glob
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time

import numpy as np

import zoo

# The last argument is the far shell's command; the far machine's programs run in the emulator.
STAND_IN = """#!/bin/sh
for command; do :; done
for word; do case "$word" in *dying*) dying=1 ;; esac; done
export TMPDIR={folder}
case "$command" in "uname -sm") echo "{system}"; exit 0 ;; esac
[ -z "{broken}" ] || export TMPDIR=/does/not/exist
command=$(printf '%s' "$command" | sed 's#/[^ ]*/lathe-runner --serve#{emulator} &#')
if [ -n "$dying" ]; then
  case "$command" in *--serve*) exec timeout -s KILL 2 sh -c "$command" ;; esac
fi
exec sh -c "$command"
"""


def stand_in(folder, emulator="qemu-aarch64 -cpu cortex-a76", system="Linux aarch64", broken=""):
    path = os.path.join(folder, "ssh")
    with open(path, "w") as file:
        file.write(STAND_IN.format(folder=folder, emulator=emulator, system=system, broken=broken))
    os.chmod(path, stat.S_IRWXU)
    return path


def bench(lathe, ssh, *words, seconds=2):
    command = [lathe, "bench", *words, "--max-time", f"{seconds}s"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LATHE_SSH": ssh})


def expect(done, code, text):
    assert done.returncode == code and text in done.stderr + done.stdout, (
        f"{' '.join(done.args)}: code {done.returncode}, wanted {code} and '{text}'\n"
        f"{done.stdout}{done.stderr}")


def left_over(folder):
    return glob.glob(os.path.join(folder, "lathe.*"))


def check_stand_in(lathe, model, folder):
    ssh = stand_in(folder)
    done = bench(lathe, ssh, model, "--remote", "pi@raspi:2222", "--against", model, "--json",
                 "--processes", "1")
    assert done.returncode in (0, 5), done.stderr
    report = json.loads(done.stdout)
    case = report["cases"][0]
    host = case["remote"]["host"]
    assert host["arch"] == "aarch64" and case["remote"]["target"] == "pi@raspi:2222", host
    assert case["engine"] == "native" and case["latency"]["median"]["value"] > 0
    assert case["memory"]["hwm_method"].endswith("on the other machine")
    # The outputs of the far model against those of the other: the same plan, the same answers.
    assert report["quality"][0]["after"] == 1.0, report["quality"]
    assert left_over(folder) == []
    # The far machine decides what its times are of, not this one.
    done = bench(lathe, ssh, model, "--remote", "raspi", "--gate-profile", "x86-64-vnni", "--json")
    timed = [gate for gate in json.loads(done.stdout)["gates"] if gate["metric"] == "p95"]
    assert done.returncode == 5 and timed, done.stderr
    assert all("host is aarch64" in gate["reason"] for gate in timed), timed

    # One host ends while it measures: the other's case stays.
    done = bench(lathe, ssh, model, "--remote", "dying,raspi", "--json", seconds=6)
    assert done.returncode == 7, f"code {done.returncode}\n{done.stdout[-500:]}{done.stderr}"
    cases = json.loads(done.stdout)["cases"]
    assert any("remote" in one and one["remote"]["target"] == "raspi" for one in cases), cases
    shutil.rmtree(folder)
    os.mkdir(folder)


def check_answers(lathe, model, folder):
    """What the board computes: an integer network's bytes are this machine's."""
    integers = os.path.join(folder, "int8.onnx")
    zoo.lathe(lathe, "quantize", model, "-o", integers, "--data", "random", "--samples", "4",
              "--effort", "fast", "--quiet")
    environment = {**os.environ, "LATHE_SSH": stand_in(folder)}
    outputs = {}
    for name, flags in (("here", ["--engine", "native"]), ("there", ["--remote", "raspi"])):
        path = os.path.join(folder, name + ".npz")
        subprocess.run([lathe, "run", integers, "--data", "random", "--samples", "5", "-o", path,
                        "--quiet", *flags], check=True, env=environment)
        outputs[name] = np.load(path)
    assert outputs["here"].files == outputs["there"].files != []
    for name in outputs["here"].files:
        assert np.array_equal(outputs["here"][name], outputs["there"][name]), name
    done = subprocess.run([lathe, "compare", model, model, "--data", "random", "--samples", "3",
                           "--remote", "raspi", "--min-sqnr", "80"], capture_output=True, text=True,
                          env=environment)
    expect(done, 0, "outputs agree")
    done = subprocess.run([lathe, "run", integers, "--data", "random", "-o", path, "--force",
                           "--remote", "raspi", "--engine", "interpreter"], capture_output=True,
                          text=True, env=environment)
    expect(done, 2, "--engine interpreter")


def check_bad_input(lathe, root, model, folder):
    ssh = stand_in(folder)
    for remote in ("-oProxyCommand=touch pwned", "host;touch pwned", "host:99999", "a b", "$(id)", "h:"):
        expect(bench(lathe, ssh, model, f"--remote={remote}"), 2, "[user@]host[:port]")
    expect(bench(lathe, ssh, model, "--remote", "raspi", "--engine", "torchscript"), 2, "--engine")
    expect(bench(lathe, ssh, model, "--remote", "raspi", "--doctor"), 2, "--doctor")
    expect(bench(lathe, ssh, model, "--runner", lathe), 2, "--remote")
    expect(bench(lathe, ssh, model, "--remote", "raspi", "--runner", lathe), 6,
           "it is for x86_64, the host is aarch64")
    expect(bench(lathe, ssh, model, "--remote", "raspi", "--runner", os.path.join(root, "README.md")),
           6, "no program")
    expect(bench(lathe, "/does/not/exist", model, "--remote", "raspi"), 6, "cannot be started")
    expect(bench(lathe, stand_in(folder, system="Linux sparc64"), model, "--remote", "raspi"), 6,
           "lathe-runner for sparc64")
    expect(bench(lathe, stand_in(folder, system="Darwin arm64"), model, "--remote", "raspi"), 6,
           "for Linux")
    expect(bench(lathe, stand_in(folder, broken="yes"), model, "--remote", "raspi"), 6,
           "cannot be put there")
    expect(bench(lathe, stand_in(folder, emulator="false"), model, "--remote", "raspi"), 6, "lost")
    assert left_over(folder) == [] and not os.path.exists("pwned")


def check_sshd(lathe, model, folder):
    """A real server: an unknown host is refused as ssh refuses it, a known one measures."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if sshd is None:
        print("no sshd: not tried")
        return
    keys = {name: os.path.join(folder, name) for name in ("host_key", "user_key")}
    for path in keys.values():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    port = "42022"
    config = os.path.join(folder, "sshd_config")
    with open(config, "w") as file:
        file.write(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {keys['host_key']}\n"
                   f"AuthorizedKeysFile {keys['user_key']}.pub\nStrictModes no\nUsePAM no\n"
                   f"PidFile {folder}/pid\n")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    server = subprocess.Popen([sshd, "-D", "-f", config, "-E", os.path.join(folder, "log")])
    try:
        time.sleep(1)
        ssh = os.path.join(folder, "ssh")
        known = os.path.join(folder, "known_hosts")
        # A settings file of its own; the emulator stands where a real board has its processor.
        with open(ssh, "w") as file:
            file.write(f"""#!/bin/bash
last="${{@: -1}}"
last=${{last/#uname -sm/echo Linux aarch64}}
last=$(printf '%s' "$last" | sed 's#/[^ ]*/lathe-runner --serve#qemu-aarch64 -cpu cortex-a76 &#')
exec ssh -F none -i {keys['user_key']} -o UserKnownHostsFile={known} "${{@:1:$#-1}}" "$last"
""")
        os.chmod(ssh, stat.S_IRWXU)
        expect(bench(lathe, ssh, model, "--remote", f"127.0.0.1:{port}"), 6, "verification failed")
        with open(f"{keys['host_key']}.pub") as key, open(known, "w") as file:
            file.write(f"[127.0.0.1]:{port} {key.read()}")
        done = bench(lathe, ssh, model, "--remote", f"127.0.0.1:{port}", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["cases"][0]["remote"]["host"]["arch"] == "aarch64"
    finally:
        server.terminate()
        server.wait()


def main():
    lathe, root = sys.argv[1], sys.argv[2]
    if shutil.which("qemu-aarch64") is None or not os.path.exists(
            os.path.join(root, "build", "aarch64", "lathe-runner")):
        print("skipped: build/aarch64/lathe-runner (cmake --preset aarch64) or qemu-aarch64 is not there")
        sys.exit(77)
    model = os.path.join(root, "scripts", "glyphs.onnx")
    with tempfile.TemporaryDirectory() as folder:
        far = os.path.join(folder, "far")
        os.mkdir(far)
        check_stand_in(lathe, model, far)
        check_answers(lathe, model, far)
        check_bad_input(lathe, root, model, far)
        if os.environ.get("LATHE_SLOW") == "1":
            check_sshd(lathe, model, folder)


if __name__ == "__main__":
    main()
