"""The comparison as text, JSON and CSV."""

import csv
import io
import json
import math
import os
import sys

COLUMNS = ("model", "tool", "quantized", "metric", "agreement", "SQNR, dB", "seconds", "CPU s",
           "peak MB", "KB", "latency", "remarks")


class Copied:
    """What is printed goes to stdout and, in the end, to table.md in the folder."""

    def __init__(self, folder):
        self.folder, self.text = folder, io.StringIO()

    def __enter__(self):
        self.stdout, sys.stdout = sys.stdout, self
        return self.folder

    def __exit__(self, *_):
        sys.stdout = self.stdout
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "table.md"), "w") as file:
            file.write(self.text.getvalue())

    def write(self, text):
        self.text.write(text)
        return self.stdout.write(text)

    def flush(self):
        self.stdout.flush()


def print_heading(chosen):
    import nncf
    import onnxruntime
    print(f"ONNX Runtime {onnxruntime.__version__}, NNCF {nncf.__version__}; ONNX Runtime executes "
          f"all files; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs.\n"
          "quantized: Conv, ConvTranspose, Gemm, MatMul, LSTM and GRU nodes on int8 data and "
          "weights, of all such nodes in that file. agreement: with the float model. SQNR: of the "
          "worst output, against the float model. latency: of the float model in ms, of others in "
          "parts of it, one thread.\n")


def text_of(value, pattern):
    if value is None:
        return "NaN"
    if isinstance(value, float) and math.isinf(value):
        return "equal" if value > 0 else "zero signal"
    return pattern.format(value)


def each_output(figures):
    return ", ".join(f"{name} {text_of(value, '{:.1f}')}" for name, value in figures.items())


def cells_of(row, subject):
    cells = [row["model"], row["tool"]] + [""] * 9
    texts = (("metric", f"{subject.metric_name} {{:.3f}}"),
             ("agreement", f"{subject.agreement_name} {{:.3f}}"), ("sqnr_db", "{:.2f}"),
             ("seconds", "{:.1f}"), ("cpu_seconds", "{:.1f}"))
    for place, (key, pattern) in enumerate(texts, 3):
        if key in row:
            cells[place] = text_of(row[key], pattern)
    if "compute_nodes" in row:
        cells[2] = f"{row['quantized_nodes']}/{row['compute_nodes']}"
    if "peak_bytes" in row:
        cells[8] = f"{row['peak_bytes'] / 1e6:.0f}"
    if "bytes" in row:
        cells[9] = f"{row['bytes'] / 1e3:.0f}"
    if "latency_ratio" in row:
        cells[10] = f"{row['latency_ratio']:.2f}"
    elif "latency_ms" in row:
        cells[10] = f"{row['latency_ms']:.2f} ms"
    outputs = row.get("sqnr_db_of_outputs", {})
    given = row.get("sqnr_db_with_float_states")
    remarks = [f"FAILED: {row['failure']}" if row["failure"] else "", row["note"],
               f"ONNX Runtime takes it only with {row['level']} graph optimization "
               f"({row['level_reason']})" if row.get("level") else "",
               f"SQNR {each_output(outputs)}" if len(outputs) > 1 else "",
               f"with the float model's states: {each_output(given)}" if given else ""]
    return cells + ["; ".join(text for text in remarks if text).replace("|", "/")]


def print_rows(rows, subject, with_heading):
    if with_heading:
        print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    for row in rows:
        print("| " + " | ".join(cells_of(row, subject)) + " |", flush=True)


def comparable(row):
    """Other tools' files that run and have an int8 node."""
    return (not row["tool"].startswith("lathe") and row["tool"] != "float" and not row["failure"]
            and row.get("quantized_nodes") and row["sqnr_db"] is not None)


def print_summary(rows, warnings):
    """Differences in SQNR for each effort of lathe; also returned, for the JSON file."""
    summary = {}
    models = dict.fromkeys(row["model"] for row in rows)
    for tool in dict.fromkeys(row["tool"] for row in rows if row["tool"].startswith("lathe")):
        found = []
        for model in models:
            here = [row for row in rows if row["model"] == model]
            found += [difference(model, ours, list(filter(comparable, here)))
                      for ours in here if ours["tool"] == tool]
        summary[tool] = {"models": found, **print_differences(tool, found)}
    if warnings:
        print("\n" + "\n".join(warnings))
    return summary


def difference(model, ours, others):
    best = max(others, key=lambda row: row["sqnr_db"], default=None)
    row = {"model": model, "sqnr_db": ours.get("sqnr_db"), "failure": ours["failure"],
           "quantized_nodes": ours.get("quantized_nodes"), "best_other": None,
           "difference_db": None, "difference_db_of_outputs": {}}
    if best:
        row.update(best_other=best["tool"], best_other_sqnr_db=best["sqnr_db"],
                   best_other_quantized_nodes=best["quantized_nodes"])
        if row["sqnr_db"] is not None and not ours["failure"]:
            row["difference_db"] = decibels_above(row["sqnr_db"], best["sqnr_db"])
            row["difference_db_of_outputs"] = {
                name: decibels_above(value, max(other["sqnr_db_of_outputs"][name]
                                                for other in others))
                for name, value in ours["sqnr_db_of_outputs"].items()}
    return row


def decibels_above(value, other):
    return 0.0 if value == other else value - other


def print_differences(tool, found):
    print(f"\n{tool} against the best of the others, dB of SQNR (quantized nodes):\n\n"
          "| model | " + tool + " | best other | difference | of each output, to its best |\n"
          "|---|---|---|---|---|")
    for row in found:
        ours = "FAILED" if row["failure"] else (
            f"{text_of(row['sqnr_db'], '{:.2f}')} ({row['quantized_nodes']})")
        other = "none" if not row["best_other"] else (
            f"{row['best_other']} {text_of(row['best_other_sqnr_db'], '{:.2f}')} "
            f"({row['best_other_quantized_nodes']})")
        value, outputs = row["difference_db"], row["difference_db_of_outputs"]
        each = ", ".join(f"{name} {item:+.2f}" for name, item in outputs.items())
        print(f"| {row['model']} | {ours} | {other} | "
              f"{'' if value is None else f'{value:+.2f}'} | {each if len(outputs) > 1 else ''} |")
    values = sorted(row["difference_db"] for row in found if row["difference_db"] is not None)
    figures = {"compared": len(values), "failed": sum(bool(row["failure"]) for row in found)}
    if values:
        middle = len(values) // 2
        figures.update(median_db=(values[middle] + values[~middle]) / 2, worst_db=values[0],
                       above=sum(value > 0 for value in values),
                       more_than_half_db_below=sum(value < -0.5 for value in values))
        print(f"\n{tool}: median {figures['median_db']:+.2f} dB, worst {figures['worst_db']:+.2f} "
              f"dB; above on {figures['above']} of {len(values)}, more than 0.5 dB below on "
              f"{figures['more_than_half_db_below']}; failed on {figures['failed']}.")
    return figures


def strict(value):
    """JSON knows no infinity: null with its reason beside it."""
    if isinstance(value, dict):
        whole = {}
        for key, item in value.items():
            whole[key] = strict(item)
            if isinstance(item, float) and not math.isfinite(item):
                whole[f"{key}_reason"] = "outputs are equal" if item > 0 else "no signal"
        return whole
    if isinstance(value, list):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write(folder, rows, summary, warnings):
    with open(os.path.join(folder, "results.json"), "w") as file:
        json.dump(strict({"rows": rows, "summary": summary, "warnings": warnings}), file, indent=1,
                  allow_nan=False)
    keys = ("model", "tool", "quantized_nodes", "compute_nodes", "metric", "agreement", "sqnr_db",
            "seconds", "cpu_seconds", "peak_bytes", "bytes", "latency_ms", "latency_ratio", "note",
            "failure")
    with open(os.path.join(folder, "results.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, keys, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    print(f"\n{os.path.relpath(folder)}: table.md, results.json, results.csv")
