#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "train/augment.h"
#include "train/batch.h"
#include "train/batch_loader.h"

#include "run/run_text.h"

#include "doctest_after_torch.h"

namespace lathe {
namespace {

using test::contains;
using test::error_of;

Batch picture_batch(std::vector<size_t> samples) {
  Batch batch;
  for (const size_t sample : samples) {
    const at::Tensor image =
        at::arange(2 * 6 * 5, at::kFloat).reshape({1, 2, 6, 5}) + 100 * static_cast<double>(sample);
    batch.inputs =
        batch.inputs.empty() ? std::vector{image} : std::vector{at::cat({batch.inputs[0], image})};
  }
  batch.samples = std::move(samples);
  return batch;
}

}  // namespace

TEST_CASE("an epoch's order is a permutation that depends on seed and epoch alone") {
  const auto order = epoch_order(1000, 7, 0);
  std::set<size_t> seen(order.begin(), order.end());
  CHECK(seen.size() == 1000);
  CHECK(*seen.rbegin() == 999);
  CHECK(order == epoch_order(1000, 7, 0));
  CHECK(order != epoch_order(1000, 7, 1));
  CHECK(order != epoch_order(1000, 8, 0));
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  CHECK(steps_per_epoch(130, 64) == 2);
  CHECK(contains(error_of([] { steps_per_epoch(63, 64); }),
                 "3 train.data: : 63 samples are fewer than one batch of 64"));
}

TEST_CASE("a batch joins each input along its own axis") {
  TrainingData data;
  data.count = 4;
  data.sample = [](size_t i) {
    const auto value = static_cast<double>(i);
    return Sample{{at::full({1, 3}, value), at::full({2, 1, 4}, value), at::full({5}, value)},
                  {at::scalar_tensor(static_cast<int64_t>(i), at::kLong), at::full({1, 2}, value)}};
  };
  data.input_axes = {0, 1, -1};
  const std::vector<size_t> chosen = {2, 0, 3};
  const Batch batch = make_batch(data, chosen);
  CHECK(batch.inputs[0].sizes() == at::IntArrayRef({3, 3}));
  CHECK(batch.inputs[1].sizes() == at::IntArrayRef({2, 3, 4}));
  CHECK(batch.inputs[2].sizes() == at::IntArrayRef({5}));
  CHECK(batch.inputs[1][0][2][0].item<double>() == 3);
  CHECK(batch.targets[0].sizes() == at::IntArrayRef({3}));
  CHECK(batch.targets[0][0].item<int64_t>() == 2);
  CHECK(batch.targets[1].sizes() == at::IntArrayRef({3, 2}));
  CHECK(batch.samples == chosen);
}

TEST_CASE("parts of a batch are as equal as possible and cover it in order") {
  for (const int64_t count : {1, 7, 10, 64})
    for (const int64_t parts : {1, 2, 3, 4, 9}) {
      int64_t next = 0, least = count, most = 0;
      for (int64_t part = 0; part < parts; ++part) {
        const Share share = share_of(count, part, parts);
        CHECK(share.first == next);
        next += share.count;
        least = std::min(least, share.count);
        most = std::max(most, share.count);
      }
      CHECK(next == count);
      CHECK(most - least <= 1);
    }
  Batch batch;
  batch.samples = {4, 5, 6};
  // Two rows a sample; batch on axis 1; the same for all.
  batch.inputs = {at::arange(6), at::arange(3).reshape({1, 3}), at::ones({5})};
  batch.targets = {at::arange(3)};
  const Batch part = part_of_batch(batch, {1, 2}, {0, 1, -1});
  CHECK(part.samples == std::vector<size_t>{5, 6});
  CHECK(at::equal(part.inputs[0], at::arange(2, 6)));
  CHECK(at::equal(part.inputs[1], at::arange(1, 3).reshape({1, 2})));
  CHECK(part.inputs[2].size(0) == 5);
  CHECK(at::equal(part.targets[0], at::arange(1, 3)));
  CHECK(part_of_batch(batch, {3, 0}, {0, 1, -1}).samples.empty());
}

TEST_CASE("samples that do not fit together are an error that names the batch") {
  TrainingData data;
  data.count = 2;
  data.sample = [](size_t i) { return Sample{{at::ones({1, 3 + static_cast<int64_t>(i)})}, {}}; };
  const std::vector<size_t> both = {0, 1};
  CHECK(contains(error_of([&] { make_batch(data, both); }), "starts with sample 0"));
  data.sample = [](size_t i) { return Sample{std::vector<at::Tensor>(i + 1, at::ones({1})), {}}; };
  CHECK(contains(error_of([&] { make_batch(data, both); }), "sample 1"));
}

TEST_CASE("augmentation depends on the sample and the epoch, not on the batch it is in") {
  for (const Augment& augment :
       {flip_images(3), crop_images(3, 2, -1), jitter_images(3, 0.3, 0.3)}) {
    Batch together = picture_batch({4, 9, 2});
    augment(together, 5);
    for (size_t i = 0; i < 3; ++i) {
      Batch alone = picture_batch({together.samples[i]});
      augment(alone, 5);
      CHECK(at::equal(alone.inputs[0][0], together.inputs[0][static_cast<int64_t>(i)]));
    }
    int changes = 0;
    for (int64_t epoch = 0; epoch < 16; ++epoch) {
      Batch batch = picture_batch({1});
      augment(batch, epoch);
      if (!at::equal(batch.inputs[0], picture_batch({1}).inputs[0])) ++changes;
    }
    CHECK(changes >= 4);
  }
}

TEST_CASE("flips mirror about half of the pictures, crops are windows of the padded picture") {
  std::vector<size_t> samples(200);
  for (size_t i = 0; i < samples.size(); ++i) samples[i] = i;
  const at::Tensor before = picture_batch(samples).inputs[0];
  Batch flipped = picture_batch(samples), cropped = picture_batch(samples);
  flip_images(1)(flipped, 0);
  crop_images(1, 1, -7)(cropped, 0);
  const at::Tensor padded = at::constant_pad_nd(before, {1, 1, 1, 1}, -7);
  int mirrored = 0;
  std::set<int> places;
  for (int64_t i = 0; i < 200; ++i) {
    if (at::equal(flipped.inputs[0][i], before[i].flip({2})))
      ++mirrored;
    else
      CHECK(at::equal(flipped.inputs[0][i], before[i]));
    int found = -1;
    for (int place = 0; place < 9; ++place)
      if (at::equal(cropped.inputs[0][i],
                    padded[i].narrow(1, place / 3, 6).narrow(2, place % 3, 5)))
        found = place;
    CHECK(found >= 0);
    places.insert(found);
  }
  CHECK(mirrored > 70);
  CHECK(mirrored < 130);
  CHECK(places.size() == 9);
}

TEST_CASE("augmentation of what is no picture is refused") {
  Batch batch;
  batch.inputs = {at::ones({2, 3})};
  batch.samples = {0, 1};
  CHECK(contains(error_of([&] { flip_images(0)(batch, 0); }), "2 train.augment"));
  CHECK(contains(error_of([&] { flip_images(0, 1)(batch, 0); }), "input 1"));
  CHECK(contains(error_of([&] { crop_images(0, -1); }), "2 train.augment"));
}

TEST_CASE("a loader gives the batch that is asked for, prefetched or not, and passes errors on") {
  const auto load = [](int64_t step) {
    if (step == 3) throw bad_input("data.broken", "sample 3 is broken");
    Batch batch;
    batch.samples = {static_cast<size_t>(step)};
    return batch;
  };
  BatchLoader loader(load);
  loader.prefetch(0);
  CHECK(loader.take(0).samples[0] == 0);
  CHECK(loader.take(1).samples[0] == 1);
  loader.prefetch(7);  // not taken: another was wanted in the end
  CHECK(loader.take(2).samples[0] == 2);
  loader.prefetch(3);
  CHECK(contains(error_of([&] { loader.take(3); }), "3 data.broken"));
  CHECK(loader.take(4).samples[0] == 4);
  loader.prefetch(5);  // the destructor waits for it
}

}  // namespace lathe
