// Thread counts of the numeric libraries behind ATen.
#pragma once

namespace lathe {

/// Threads of ATen, OpenMP and OpenBLAS (which LibTorch leaves at its own count) for work started
/// by the calling thread. Of threads that are started later each has one.
void set_thread_count(int threads);

/// The same for threads that are started later, and for QNNPACK, as a program with LibTorch has it.
/// QNNPACK's workers are started anew, and spin for a while, whenever a thread meets ATen for the
/// first time: a third of the processor's time where many short threads do.
void set_thread_count_everywhere(int threads);

/// Threads that share work started by the calling thread. OpenMP's own answer: ATen's, of some
/// releases, is what it was told last and not what `set_thread_count` said.
int thread_count();

/// While it lives, OpenBLAS uses one thread for everybody: how it divides a product among threads
/// shows in the last bits of the result.
class SerialBlas {
 public:
  SerialBlas();
  ~SerialBlas();
  SerialBlas(const SerialBlas&) = delete;
  SerialBlas& operator=(const SerialBlas&) = delete;

 private:
  int previous_;
};

/// While it lives, ATen and OpenMP work started by the calling thread uses that thread alone. For
/// worker threads that each compute a whole sample.
class SingleThreaded {
 public:
  SingleThreaded();
  ~SingleThreaded();
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int previous_;
};

}  // namespace lathe
