"""Runs `lathe bench --self-check` many times and counts what it says. Called by gate_study.sh."""

import collections
import json
import subprocess
import sys


def self_check(lathe, model, seed):
    """One self-check's section of the report; its exit code is a verdict, not a failure."""
    command = [lathe, "bench", model, "--self-check", "--threads", "1", "--max-time", "60s",
               "--seed", str(seed), "--json", "--quiet"]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    report = json.loads(run.stdout)
    if "self_check" not in report:
        sys.exit(f"seed {seed}: {report.get('error', 'no self_check in the report')}")
    return report["self_check"]


def ratio_text(comparison):
    ratio = comparison["ratio"]
    if ratio["value"] is None:
        return "-"
    low, high = ratio["ci95"]
    return f"{100 * (ratio['value'] - 1):+.2f} ({100 * (low - 1):+.2f} .. {100 * (high - 1):+.2f})"


def main(lathe, model, runs):
    verdicts = {"itself": collections.Counter(), "slowed": collections.Counter()}
    errors = []
    print("| run | against itself, % | verdict | 5 % slower, % | verdict | processes |")
    print("|---|---|---|---|---|---|")
    for run in range(runs):
        check = self_check(lathe, model, run + 1)
        cells = []
        for side in ("itself", "slowed"):
            verdicts[side][check[side]["verdict"]] += 1
            cells += [ratio_text(check[side]), check[side]["verdict"]]
        if check["itself"]["ratio"]["value"] is not None:
            errors.append(100 * (check["itself"]["ratio"]["value"] - 1))
        print(f"| {run + 1} | {' | '.join(cells)} | {check['slowed']['processes']} |", flush=True)
    names = ("regressed", "pass", "improved", "inconclusive")
    print(f"\n| | {' | '.join(names)} |\n|---|---|---|---|---|")
    for side, label in (("itself", "against itself"), ("slowed", "5 % slower")):
        print(f"| {label} | {' | '.join(str(verdicts[side][name]) for name in names)} |")
    if errors:
        root = (sum(e * e for e in errors) / len(errors)) ** 0.5
        print(f"\nagainst itself: mean {sum(errors) / len(errors):+.3f} %, root of squares {root:.3f} %")
    good = verdicts["itself"]["regressed"] == 0 and verdicts["slowed"]["regressed"] >= 0.95 * runs
    return 0 if good else 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
