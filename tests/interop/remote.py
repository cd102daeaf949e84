"""bench --remote: an arm64 machine in an emulator behind a stand-in for ssh, what goes wrong on the
way, and (LATHE_SLOW=1) real sshds on loopback and in network namespaces. usage: remote.py LATHE ROOT"""

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
for word; do case "$word" in *dying*) dying="timeout -s KILL 2" ;; esac; done
export TMPDIR="{temporaries}"
command=$(printf '%s' "$command" | sed 's#uname -sm#echo {system}#; s#"$d/lathe-runner" --serve#'"$dying"' {emulator} &#')
exec sh -c "$command"
"""


def script(folder, text):
    path = os.path.join(folder, "ssh")
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, stat.S_IRWXU)
    return path


def stand_in(folder, emulator="qemu-aarch64 -cpu cortex-a76", system="Linux aarch64", temporaries=None):
    return script(folder, STAND_IN.format(temporaries=temporaries or folder, emulator=emulator, system=system))


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
    # A shell that greets does no harm.
    with open(ssh) as file:
        script = file.read()
    greeting = os.path.join(folder, "greeting")
    with open(greeting, "w") as file:
        file.write(script.replace("\n", "\necho Welcome to my board\n", 1))
    os.chmod(greeting, stat.S_IRWXU)
    expect(bench(lathe, greeting, model, "--remote", "raspi"), 0, "aarch64")
    # Its folder may have any name.
    odd = os.path.join(folder, "a 'b $c")
    os.mkdir(odd)
    expect(bench(lathe, stand_in(folder, temporaries=odd.replace("$", "\\$")), model, "--remote",
                 "raspi"), 0, "aarch64")
    assert left_over(odd) == []
    stand_in(folder)
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


def assert_same(here, there):
    assert here.files == there.files != []
    for name in here.files:
        assert np.array_equal(here[name], there[name]), name


def check_plan(lathe, model, folder):
    """A compiled plan, whose batch is free, there as here."""
    plan = os.path.join(folder, "glyphs.lathe")
    zoo.lathe(lathe, "compile", model, "-o", plan, "--target", "native", "--quiet")
    environment = {**os.environ, "LATHE_SSH": stand_in(folder)}
    batch = os.path.join(folder, "batch.npz")
    np.savez(batch, image=np.random.default_rng(0).random((7, 1, 28, 28), np.float32))
    outputs = {}
    for name, flags in (("here", []), ("there", ["--remote", "raspi"])):
        path = os.path.join(folder, name + ".npz")
        subprocess.run([lathe, "run", plan, "--data", batch, "-o", path, "--quiet", "--force", *flags],
                       check=True, env=environment)
        outputs[name] = np.load(path)
    for name in outputs["here"].files:
        difference = np.abs(outputs["here"][name] - outputs["there"][name]).max()
        assert outputs["there"][name].shape == (7, 36) and difference < 1e-5, difference
    done = subprocess.run([lathe, "compare", model, plan, "--data", "random", "--samples", "3",
                           "--remote", "raspi", "--min-sqnr", "80"], capture_output=True, text=True,
                          env=environment)
    expect(done, 0, "outputs agree")
    expect(bench(lathe, environment["LATHE_SSH"], plan, "--remote", "raspi", "--against", plan,
                 "--processes", "1"), 0, "aarch64")
    assert left_over(folder) == []


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
    assert_same(outputs["here"], outputs["there"])
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
    for remote in ("-oProxyCommand=touch pwned", "host;touch pwned", "host:99999", "a b", "$(id)", "h:",
                   "@h", "u@", "u@@h", "[::1", "[::1]x", "h:-5", "adb"):
        expect(bench(lathe, ssh, model, f"--remote={remote}"), 2, "[user@]host[:port]")
    expect(bench(lathe, ssh, model, "--remote=", "--quiet"), 2, "no value")
    expect(bench(lathe, ssh, model, "--remote", "raspi,raspi"), 2, "the same host twice")
    expect(bench(lathe, ssh, model, "--remote", "raspi", "--engine", "torchscript"), 2, "--engine")
    expect(bench(lathe, ssh, model, "--remote", "raspi", "--doctor"), 2, "--doctor")
    expect(bench(lathe, ssh, model, "--runner", lathe), 2, "--remote")
    expect(bench(lathe, ssh, model, "--remote", "raspi", "--runner", lathe), 6,
           "it is for x86_64, the host is aarch64")
    expect(bench(lathe, ssh, model, "--remote", "raspi", "--runner", os.path.join(root, "README.md")),
           6, "not an ELF program")
    expect(bench(lathe, "/does/not/exist", model, "--remote", "raspi"), 6, "cannot be started")
    expect(bench(lathe, stand_in(folder, system="Linux armv7l"), model, "--remote", "raspi"), 6,
           "the host is armv7l")
    expect(bench(lathe, stand_in(folder, system="Darwin arm64"), model, "--remote", "raspi"), 6,
           "for Linux")
    expect(bench(lathe, stand_in(folder, temporaries="/does/not/exist"), model, "--remote", "raspi"), 6,
           "cannot be put there")
    expect(bench(lathe, stand_in(folder, emulator="false"), model, "--remote", "raspi"), 6,
           "does not run there")
    runner = os.path.join(root, "build", "aarch64", "lathe-runner")
    with open(runner, "rb") as file:
        head = file.read(100_000)
    with open(os.path.join(folder, "cut"), "wb") as file:
        file.write(head)
    expect(bench(lathe, stand_in(folder), model, "--remote", "raspi", "--runner",
                 os.path.join(folder, "cut")), 6, "must be whole")
    assert left_over(folder) == [] and not os.path.exists("pwned")
    # Answers without an end.
    for babble in ("yes", "cat /dev/zero"):
        for talk in (babble, f"echo Linux aarch64; {babble}", f"echo Linux aarch64; read -r n; {babble}"):
            start = time.monotonic()
            done = bench(lathe, script(folder, f"#!/bin/sh\n{talk}\n"), model, "--remote", "raspi")
            expect(done, 6, "raspi")
            assert time.monotonic() - start < 30, talk


def check_runner(root, folder):
    """lathe-runner by hand: what is wrong with a request is told, by code too."""
    runner = ["qemu-aarch64", os.path.join(root, "build", "aarch64", "lathe-runner")]
    plan = os.path.join(folder, "glyphs.lathe")
    short = os.path.join(folder, "short")
    with open(short, "wb") as file:
        file.write(bytes(100))
    for words, code, text in (
            (["--help"], 0, "usage:"), (["--version"], 0, "lathe-runner 0."), ([], 2, "usage:"),
            (["--nosuch"], 2, "usage:"), ([plan, "x"], 2, "usage:"), ([plan, "-1"], 2, "usage:"),
            ([plan, "1", "99999999999999999999"], 2, "usage:"), ([plan, "1", "1", "1", "1"], 2, "usage:"),
            (["/no/such"], 3, "/no/such"), ([plan, "1", "1", "--inputs", "/no/such"], 3, "/no/such: No such"),
            ([plan, "1", "1", "--inputs", short], 3, "short: the inputs have 3136 bytes together, the file has fewer"),
            ([plan, "1", "1", "--outputs", "/no/such/x"], 9, "/no/such/x"), ([plan, "1", "2", "3"], 0, "load_ns")):
        expect(subprocess.run([*runner, *words], capture_output=True, text=True), code, text)


def check_detect(lathe, folder):
    """A profile from what a board tells and delivers; over adb as over ssh."""
    ssh = stand_in(folder, emulator="qemu-aarch64 -cpu max")
    environment = {**os.environ, "LATHE_SSH": ssh, "LATHE_ADB": ssh}
    path = os.path.join(folder, "board.json")
    for remote in ("raspi", "adb:", "adb:R58N.1:5555"):
        done = subprocess.run([lathe, "profiles", "detect", "--remote", remote, "-o", path, "--force",
                               "--json"], capture_output=True, text=True, env=environment)
        expect(done, 0, "aarch64")
        report = json.loads(done.stdout)
        assert report["host"]["arch"] == "aarch64" and "i8mm" in report["host"]["cpu"]["isa"]
        made = report["profile"]
        assert made["cpu"]["int8"] == "smmla" and made["rates"]["source"] == "measured", made
        measured = {row["instruction"] for row in report["peaks"]["compute"]}
        assert {"fmla", "sdot", "usmmla", "bfmmla"} <= measured, measured
        assert made["rates"]["bandwidth_gb_per_s"] > 0 and left_over(folder) == []
    # It is one: other commands take it.
    expect(subprocess.run([lathe, "profiles", "show", path], capture_output=True, text=True), 0, "measured")
    for words, text in ((["list", "--remote", "raspi"], "only detect"),
                        (["detect", "--remote", "adb:-s"], "serial")):
        expect(subprocess.run([lathe, "profiles", *words], capture_output=True, text=True), 2, text)


class Sshd:
    """A real server on `address`, where the words `within` lead; its emulator stands where a real
    board has its processor."""

    def __init__(self, folder, address, port, within=()):
        self.host = f"{address}:{port}"
        self.key = os.path.join(folder, "host_key")
        for name in ("host_key", "user_key"):
            path = os.path.join(folder, name)
            if not os.path.exists(path):
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        config = os.path.join(folder, f"sshd_config_{address}")
        with open(config, "w") as file:
            file.write(f"Port {port}\nListenAddress {address}\nHostKey {self.key}\n"
                       f"AuthorizedKeysFile {folder}/user_key.pub\nStrictModes no\nUsePAM no\n"
                       f"PidFile {folder}/pid_{address}\n")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
        self.server = subprocess.Popen([*within, sshd, "-D", "-f", config, "-E",
                                        os.path.join(folder, "log")], stdout=subprocess.DEVNULL)
        time.sleep(1)

    def known(self, address, port):
        with open(f"{self.key}.pub") as key:
            return f"[{address}]:{port} {key.read()}"

    def stop(self):
        self.server.terminate()
        self.server.wait()


def real_ssh(folder):
    """ssh with settings of its own."""
    path = os.path.join(folder, "ssh")
    with open(path, "w") as file:
        file.write(f"""#!/bin/bash
last="${{@: -1}}"
last=${{last/uname -sm/echo Linux aarch64}}
last=$(printf '%s' "$last" | sed 's#"$d/lathe-runner" --serve#qemu-aarch64 -cpu cortex-a76 &#')
exec ssh -F none -i {folder}/user_key -o UserKnownHostsFile={folder}/known_hosts \\
  "${{@:1:$#-1}}" "$last"
""")
    os.chmod(path, stat.S_IRWXU)
    return path


def check_sshd(lathe, model, folder):
    """An unknown host is refused as ssh refuses it, a known one measures."""
    server = Sshd(folder, "127.0.0.1", 42022)
    try:
        ssh = real_ssh(folder)
        expect(bench(lathe, ssh, model, "--remote", server.host), 6, "verification failed")
        with open(os.path.join(folder, "known_hosts"), "w") as file:
            file.write(server.known("127.0.0.1", 42022))
        done = bench(lathe, ssh, model, "--remote", server.host, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["cases"][0]["remote"]["host"]["arch"] == "aarch64"
    finally:
        server.stop()


def wait_for_runs(ip, namespace):
    """Until a runner there has computed for two seconds: those that only ask are gone by then."""
    for _ in range(600):
        time.sleep(0.1)
        pids = subprocess.run([ip, "netns", "pids", namespace], capture_output=True, text=True).stdout
        for pid in pids.split():
            try:
                with open(f"/proc/{pid}/cmdline") as file:
                    is_runner = file.read().startswith("qemu-aarch64")
                with open(f"/proc/{pid}/stat") as file:
                    ticks = int(file.read().rsplit(")", 1)[1].split()[11])
            except OSError:
                continue
            if is_runner and ticks > 2 * os.sysconf("SC_CLK_TCK"):
                return
    raise AssertionError(f"nothing was measured in {namespace}")


def check_vanishing_host(lathe, model, folder):
    """Two hosts in networks of their own; the cable of one is drawn while it measures."""
    ip = shutil.which("ip", path="/usr/sbin:/usr/bin:/sbin")
    if os.geteuid() != 0 or ip is None or subprocess.run([ip, "netns", "add", "lathe-try"],
                                                         capture_output=True).returncode != 0:
        print("no network namespaces: not tried")
        return
    subprocess.run([ip, "netns", "del", "lathe-try"], check=True)
    names = ("lathe-near", "lathe-far")
    servers = []

    def run_ip(*words):
        subprocess.run([ip, *words], check=True, capture_output=True)

    try:
        for i, name in enumerate(names):
            run_ip("netns", "add", name)
            run_ip("link", "add", f"{name}0", "type", "veth", "peer", "name", "eth0", "netns", name)
            run_ip("addr", "add", f"10.213.{i}.1/24", "dev", f"{name}0")
            run_ip("link", "set", f"{name}0", "up")
            run_ip("-n", name, "addr", "add", f"10.213.{i}.2/24", "dev", "eth0")
            run_ip("-n", name, "link", "set", "eth0", "up")
            servers.append(Sshd(folder, f"10.213.{i}.2", 22, (ip, "netns", "exec", name)))
        ssh = real_ssh(folder)
        with open(os.path.join(folder, "known_hosts"), "w") as file:
            for i, server in enumerate(servers):
                with open(f"{server.key}.pub") as key:
                    file.write(f"10.213.{i}.2 {key.read()}")
        command = [lathe, "bench", model, "--remote", "10.213.1.2,10.213.0.2", "--json", "--max-time",
                   "12s", "--processes", "1"]
        bench_there = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       env={**os.environ, "LATHE_SSH": ssh})
        wait_for_runs(ip, "lathe-far")
        run_ip("link", "set", "lathe-far0", "down")
        out, errors = bench_there.communicate(timeout=180)
        assert bench_there.returncode == 7, f"code {bench_there.returncode}\n{out[-500:]}{errors}"
        cases = json.loads(out)["cases"]
        assert [one["remote"]["target"] for one in cases if "remote" in one] == ["10.213.0.2"], cases
        warning = next(one["message"] for one in json.loads(out)["warnings"] if "10.213.1.2" in one["message"])
        assert "not responding" in warning, warning
    finally:
        for server in servers:
            server.stop()
        for name in names:
            left = subprocess.run([ip, "netns", "pids", name], capture_output=True, text=True).stdout
            subprocess.run(["kill", "-9", *left.split()], capture_output=True)
            subprocess.run([ip, "netns", "del", name], capture_output=True)
            subprocess.run([ip, "link", "del", f"{name}0"], capture_output=True)


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
        check_plan(lathe, model, far)
        check_runner(root, far)
        check_bad_input(lathe, root, model, far)
        check_detect(lathe, far)
        if os.environ.get("LATHE_SLOW") == "1":
            if shutil.which("sshd", path="/usr/sbin:/usr/bin") is None:
                print("no sshd: not tried")
            else:
                check_sshd(lathe, model, folder)
                check_vanishing_host(lathe, model, folder)


if __name__ == "__main__":
    main()
