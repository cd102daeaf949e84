// lathe-runner --serve: another machine measures here, over the two ends of a pipe that ssh is.
#pragma once

/// Answers requests from standard input, one a line, until it ends:
///   hello                      ok VERSION ARCHITECTURE
///   host                       ok LINES, and so many lines of a name, a tab and a value
///   plan BYTES THREADS BATCH   (and the file's bytes) ok LOAD_NS WARNING; in place of another
///   sample BYTES               (and all inputs in turn) ok
///   run SAMPLE COUNT           ok, and a time in ns of each run
///   once BYTES                 (and all inputs in turn) ok BYTES, and all outputs in turn
///   memory                     ok RESIDENT PEAK MILLIDEGREES, -1 where the machine does not tell
/// or: error STATUS TEXT. Returns the exit code.
int serve();
