// Decoding ahead on several threads, and batches.
#pragma once

#include <functional>
#include <span>

#include "calibration/data_set.h"

namespace lathe {

struct Feed {
  std::vector<Tensor> inputs;  // as DataSet::sample
  Tensor label;                // undefined without labels
};

/// Decodes the samples of `order` on `threads` threads and hands them to `visit` on the calling
/// thread, in that order; at most 2 * threads are held at a time. An exception of a sample is
/// rethrown when its turn comes; after any exception the threads are joined first.
void stream_samples(const DataSet& data, std::span<const size_t> order, int threads,
                    const std::function<void(size_t position, Feed feed)>& visit);

/// Samples [begin, end).
void stream_samples(const DataSet& data, size_t begin, size_t end, int threads,
                    const std::function<void(size_t index, Feed feed)>& visit);

/// Joins the samples' tensors along axis 0. Inputs of rank 0 must be equal in all samples and stay
/// one. Throws Error (exit 3) for shapes that differ besides axis 0.
std::vector<Tensor> stack_batch(std::span<const std::vector<Tensor>> samples);

}  // namespace lathe
