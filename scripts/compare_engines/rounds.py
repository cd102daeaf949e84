"""All engines on one model, number of threads and batch, in rounds."""

import contextlib
import random
import statistics
import subprocess
import sys
import time

import bench_lathe
import engines
import files

# So long that the threads of the engine before no longer spin.
PAUSE_SECONDS = 0.05


@contextlib.contextmanager
def busy_neighbours(count):
    """Processes that take all the time of a CPU each, as other users of a machine do."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                for _ in range(count)]
    try:
        time.sleep(2 * PAUSE_SECONDS)
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def middle(took):
    """A round's figures; some engines give all their latencies."""
    return took if isinstance(took, dict) else {"median": statistics.median(took),
                                                "min": min(took)}


def started(engine, model, threads, batch, chosen):
    if engine.runtime == "lathe":
        return bench_lathe.LatheBench(engine, model, threads, batch, chosen.lathe_engine)
    if not model.batch_is_free and batch != model.own_batch:
        raise files.Failed(f"its batch is {model.own_batch}")
    return engines.Served(engine, model, threads, batch)


def measure(model, threads, batch, chosen, wanted):
    """One row an engine: latencies and figures, or `failure`."""
    rows = [{"model": model.name, "threads": threads, "batch": batch, "engine": engine.name,
             "runtime": engine.runtime, "precision": engine.precision, "failure": None,
             "medians": [], "mins": [], "busy_medians": []} for engine in wanted]
    running = {}

    def failed(index, error):
        rows[index]["failure"] = " ".join(str(error).split())[:200] or type(error).__name__
        if index in running:
            running.pop(index).stop()

    for index, engine in enumerate(wanted):
        try:
            running[index] = started(engine, model, threads, batch, chosen)
            running[index].settle(chosen.seconds)
            rows[index]["about"] = running[index].about
        except (files.Failed, OSError, ValueError, KeyError) as error:
            failed(index, error)
    rng = random.Random(1)
    for turn in range(chosen.rounds):
        order = list(running)
        rng.shuffle(order)
        for index in order:
            if sys.stderr.isatty():
                words = f"{model.name}: round {turn + 1} of {chosen.rounds}, {wanted[index].name}"
                print(f"\r{words:79}", end="\r", file=sys.stderr, flush=True)
            time.sleep(PAUSE_SECONDS)
            try:
                took = middle(running[index].round(chosen.seconds))
                if chosen.busy:
                    with busy_neighbours(chosen.busy):
                        busy = middle(running[index].round(chosen.seconds))
                    rows[index]["busy_medians"].append(busy["median"])
            except (files.Failed, OSError, ValueError, KeyError) as error:
                failed(index, error)
                continue
            rows[index]["medians"].append(took["median"])
            rows[index]["mins"].append(took["min"])
    for index in list(running):
        try:
            rows[index].update(running[index].end())
        except (files.Failed, OSError, ValueError, KeyError) as error:
            failed(index, error)
    return [finished(row) for row in rows]


def finished(row):
    if row["failure"] is None:
        row["median_ns"], row["min_ns"] = statistics.median(row["medians"]), min(row["mins"])
        if row["busy_medians"]:
            row["busy_ratio"] = statistics.median(row["busy_medians"]) / row["median_ns"]
    return row
