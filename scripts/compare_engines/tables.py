"""The figures as text: a table for each case, then means and verdicts."""

import math

import engines

COLUMNS = ("engine", "median", "of lathe", "least", "of lathe", "of peak", "load", "memory", "busy", "")

MOST_OF_OWN = 1.05  # of the time that a file of the runtime's own quantizer takes
MOST_STORED = 0.6  # of the float file's bytes: else most weights are floats still


def milliseconds(ns):
    return f"{ns / 1e6:.3f}" if ns < 1e6 else f"{ns / 1e6:.2f}" if ns < 1e8 else f"{ns / 1e6:.0f}"


def lathe_row(rows, precision):
    """lathe's row that others are compared with; None where it gave no figures."""
    return next((row for row in rows if row["runtime"] == "lathe" and
                 row["precision"] == precision and row["failure"] is None), None)


def share_of_peak(row, model, peaks):
    """Of the measured arithmetic of that type; multiply-adds count twice."""
    if model.macs is None or row["precision"] == "reduced":
        return None
    peak = peaks.get("int8" if row["precision"] == "int8" else "float32")
    return 2 * model.macs * row["batch"] / row["median_ns"] / peak if peak else None


def cells_of(row, rows):
    if row["failure"] is not None:
        return [row["engine"], *[""] * 8, row["failure"][:120]]
    cells = [row["engine"]]
    lathe = lathe_row(rows, row["precision"])
    for key in ("median_ns", "min_ns"):
        cells.append(milliseconds(row[key]))
        cells.append(f"{row[key] / lathe[key]:.2f}" if lathe else "")
    share, peak = row["share_of_peak"], row["peak_bytes"]
    cells.append("" if share is None else f"{100 * share:.0f} %")
    cells.append(milliseconds(row["load_ns"]))
    cells.append("" if peak is None else f"{peak / 2**20:.0f}")
    cells.append(f"{row['busy_ratio']:.2f}x" if "busy_ratio" in row else "")
    return cells + [row["about"]]


def print_case(rows):
    table = [list(COLUMNS), *(cells_of(row, rows) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(COLUMNS) - 1)]
    for line in table:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:])]
        print("  " + "  ".join([*cells, line[-1]]).rstrip())
    print(flush=True)


def geometric_mean(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def case_name(row):
    return f"{row['model']} (threads {row['threads']}, batch {row['batch']})"


def ratios_of(cases, precision, key, chosen):
    """(case, least figure of the chosen engines / lathe's); and the cases without both."""
    found, missing = [], []
    for rows in cases:
        lathe = lathe_row(rows, precision)
        others = [row[key] for row in rows if chosen(row) and row["failure"] is None]
        if lathe and others:
            found.append((case_name(rows[0]), min(others) / lathe[key]))
        else:
            missing.append(case_name(rows[0]))
    return found, missing


def print_means(cases):
    """Every engine's geometric mean over all cases in which both it and lathe gave figures."""
    print("geometric means, in parts of lathe's latency (more than 1: lathe is faster):")
    for engine in engines.ENGINES:
        if engine.runtime == "lathe":
            continue
        texts = []
        for key, word in (("median_ns", "median"), ("min_ns", "least")):
            found, _ = ratios_of(cases, engine.precision, key,
                                 lambda row: row["engine"] == engine.name)
            if found:
                texts.append(f"{word} {geometric_mean([ratio for _, ratio in found]):.2f}")
        if texts:
            print(f"  {engine.name:17} {', '.join(texts)} ({len(found)} cases)")
    print()


def file_verdicts(cases):
    """Lines, the same as values, and the lathe files that are slower than the runtime's own.

    Own: the fastest of its quantizers' files of the same mode; of weights alone, where it made less of
    the file (ONNX Runtime's leaves convolutions as they are). By least latencies: some of these
    networks take so little time that medians hold what else the machine did.
    """
    of_engine = {engine.name: engine for engine in engines.FILES}
    lines, values, slow = [], [], []
    for runtime, mode in dict.fromkeys((engine.runtime, engine.mode) for engine in engines.FILES):
        ratios = []
        for rows in cases:
            ours, theirs = [], []
            for row in rows:
                engine = of_engine.get(row["engine"])
                if engine and (engine.runtime, engine.mode) == (runtime, mode) and not row["failure"]:
                    own = not engine.file.startswith("lathe")
                    if own and mode.startswith("weights") and (
                            row["file_bytes"] > MOST_STORED * row["float_bytes"]):
                        continue
                    (theirs if own else ours).append(row["min_ns"])
            if ours and theirs:
                ratios.append((case_name(rows[0]), min(ours) / min(theirs)))
        if not ratios:
            continue
        above = [item for item in ratios if item[1] > MOST_OF_OWN]
        slow += above
        mean = geometric_mean([ratio for _, ratio in ratios])
        lines.append(f"{mode} files in {engines.RUNTIMES[runtime]}: lathe's takes {mean:.2f} of its "
                     f"own quantizer's time (geometric mean of {len(ratios)}), at most "
                     f"{MOST_OF_OWN} in {len(ratios) - len(above)}" + "".join(
                         f"; {place} {ratio:.2f}" for place, ratio in above))
        values.append({"runtime": runtime, "mode": mode, "geometric_mean": mean,
                       "ratios": dict(ratios)})
    return lines, values, slow


def verdicts(cases):
    """Lines, and the same as values."""
    lines, values = [], []
    for precision in ("int8", "float"):
        for runtime, title in engines.RUNTIMES.items():
            for key, word in (("median_ns", "medians"), ("min_ns", "least latencies")):
                found, missing = ratios_of(
                    cases, precision, key, lambda row: row["runtime"] == runtime and
                    row["precision"] == precision)
                if not found:
                    continue
                mean = geometric_mean([ratio for _, ratio in found])
                place, worst = min(found, key=lambda item: item[1])
                without = f"; without figures: {', '.join(missing)}" if missing else ""
                lines.append(f"{precision} against {title}'s best: geometric mean {mean:.2f}, "
                             f"worst {worst:.2f} at {place}; {word} of {len(found)} cases{without}")
                values.append({"precision": precision, "runtime": runtime, "figure": key,
                               "geometric_mean": mean, "worst": worst, "worst_at": place,
                               "cases": len(found), "without": missing})
    return lines, values
