#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <set>

#include "calibration/npy.h"
#include "calibration/npz.h"
#include "calibration/stream_samples.h"
#include "error_of.h"
#include "scratch_directory.h"

namespace lathe {
namespace {

ModelInput model_input(std::string name, std::vector<int64_t> sizes,
                       DType dtype = DType::kFloat32) {
  ModelInput input{std::move(name), dtype, {}};
  for (const int64_t size : sizes) input.dims.push_back(size < 0 ? Dim::named("N") : Dim::of(size));
  return input;
}

std::vector<float> floats(const Tensor& tensor) {
  const auto values = tensor.values<float>();
  return {values.begin(), values.end()};
}

template <class T>
Tensor ramp(Shape shape) {
  std::vector<T> values;
  for (int64_t i = 0; i < element_count(shape); ++i) values.push_back(static_cast<T>(i));
  return Tensor::of<T>(std::move(shape), values);
}

}  // namespace

TEST_CASE("npz with the inputs' names: one feed, many feeds, rows") {
  const ScratchDirectory folder;
  const auto open = [&](Shape shape, std::vector<int64_t> dims) {
    return open_data_set(folder.write("x.npz", npz_bytes({{"x", ramp<float>(std::move(shape))}})),
                         {model_input("x", std::move(dims))});
  };
  const DataSet one = open({2, 3}, {-1, 3});
  CHECK(one.size() == 1);
  CHECK(one.sample(0)[0].shape() == Shape{2, 3});
  const DataSet many = open({4, 2, 3}, {2, 3});
  CHECK(many.size() == 4);
  CHECK(many.sample(3)[0].shape() == Shape{2, 3});
  CHECK(floats(many.sample(3)[0])[0] == 18);
  const DataSet rows = open({4, 3}, {1, 3});
  CHECK(rows.size() == 4);
  CHECK(rows.sample(1)[0].shape() == Shape{1, 3});
  CHECK(floats(rows.sample(1)[0]) == std::vector<float>{3, 4, 5});
  CHECK(error_of([&] { open({4, 5}, {1, 3}); }) == "data.shape 3");
}

TEST_CASE("arrays for a free batch: one feed or rows, as the caller or the spec says") {
  const ScratchDirectory folder;
  const std::string plain = folder.write(
      "x.npz",
      npz_bytes({{"x", ramp<float>({4, 3})}, {"labels", Tensor::vector<int64_t>({7, 8, 9, 6})}}));
  const auto spec = [&](const std::string& more) {
    return folder.write("s.json",
                        R"({"format": "npz", "path": "x.npz", "labels": "labels")" + more + "}");
  };
  const auto open = [&](const std::string& data, FreeBatch free_batch,
                        std::vector<int64_t> dims = {-1, 3}) {
    DataOptions options;
    options.free_batch = free_batch;
    return open_data_set(data, {model_input("x", std::move(dims))}, options);
  };
  for (const FreeBatch choice : {FreeBatch::kRows, FreeBatch::kOneFeed}) {
    // Said by the spec.
    for (const DataSet& rows :
         {open(spec(""), choice), open(spec(R"(, "batch": false)"), choice)}) {
      REQUIRE(rows.size() == 4);
      CHECK(floats(rows.sample(2)[0]) == std::vector<float>{6, 7, 8});
      CHECK(rows.class_labels(2) == std::vector<int64_t>{9});
    }
    const DataSet whole = open(spec(R"(, "batch": true)"), choice);
    REQUIRE(whole.size() == 1);
    CHECK(whole.sample(0)[0].shape() == Shape{4, 3});
    CHECK(whole.class_labels(0) == std::vector<int64_t>{7, 8, 9, 6});
    // A batch of 1 leaves no choice.
    CHECK(open(plain, choice, {1, 3}).size() == 4);
  }
  const DataSet rows = open(plain, FreeBatch::kRows);
  REQUIRE(rows.size() == 4);
  CHECK(rows.sample(3)[0].shape() == Shape{1, 3});
  CHECK(floats(rows.sample(3)[0]) == std::vector<float>{9, 10, 11});
  CHECK(rows.class_labels(3) == std::vector<int64_t>{6});
  const DataSet whole = open(plain, FreeBatch::kOneFeed);
  REQUIRE(whole.size() == 1);
  CHECK(whole.sample(0)[0].shape() == Shape{4, 3});
  // One row beside many is the same for all of them.
  folder.write("x.npz", npz_bytes({{"x", ramp<float>({4, 3})}, {"once", ramp<float>({1, 2})}}));
  DataOptions options;
  options.free_batch = FreeBatch::kRows;
  const DataSet shared =
      open_data_set(plain, {model_input("x", {-1, 3}), model_input("once", {-1, 2})}, options);
  REQUIRE(shared.size() == 4);
  CHECK(floats(shared.sample(3)[1]) == std::vector<float>{0, 1});
  // One more leading dimension: feeds, each of its own batch.
  folder.write("x.npz", npz_bytes({{"x", ramp<float>({5, 2, 3})}}));
  for (const FreeBatch choice : {FreeBatch::kRows, FreeBatch::kOneFeed}) {
    const DataSet feeds = open(plain, choice);
    REQUIRE(feeds.size() == 5);
    CHECK(feeds.sample(4)[0].shape() == Shape{2, 3});
  }
}

TEST_CASE("npz: several inputs, one of them the same for all feeds") {
  const ScratchDirectory folder;
  const std::string path = folder.write(
      "x.npz", npz_bytes({{"b", Tensor::scalar<int64_t>(16000)}, {"a", ramp<float>({3, 1, 2})}}));
  const DataSet data =
      open_data_set(path, {model_input("a", {1, 2}), model_input("b", {}, DType::kInt64)});
  CHECK(data.size() == 3);
  CHECK(floats(data.sample(2)[0]) == std::vector<float>{4, 5});
  CHECK(data.sample(2)[1].identical(Tensor::scalar<int64_t>(16000)));
  CHECK(error_of([&] {
          open_data_set(path, {model_input("a", {1, 2}), model_input("c", {})});
        }) == "data.array 3");
}

TEST_CASE("npz: pictures are permuted and normalised, labels follow skip and limit") {
  const ScratchDirectory folder;
  folder.write("x.npz", npz_bytes({{"images", ramp<uint8_t>({3, 2, 1, 3})},
                                   {"y", Tensor::vector<int64_t>({7, 8, 9})}}));
  const std::string spec =
      folder.write("s.json", R"({"format": "npz", "path": "x.npz", "labels": "y", "skip": 1,
    "limit": 1, "inputs": {"*": {"array": "images", "layout": "NHWC", "color": "bgr", "scale": 2,
    "mean": [1, 2, 3], "std": [1, 2, 4]}}})");
  const DataSet data = open_data_set(spec, {model_input("in", {-1, 3, 2, 1})});
  REQUIRE(data.size() == 1);
  // Sample 1 is 6..11; blue first: (2 * 8 - 1) / 1, (2 * 11 - 1) / 1, (2 * 7 - 2) / 2, …
  CHECK(floats(data.sample(0)[0]) == std::vector<float>{15, 21, 6, 9, 2.25f, 3.75f});
  CHECK(data.class_labels(0) == std::vector<int64_t>{8});
  CHECK(data.sample_name(0) == "sample 1");
  const DataSet last = open_data_set(spec, {model_input("in", {1, 2, 1, 3})});
  CHECK(floats(last.sample(0)[0]) == std::vector<float>{15, 6, 2.25f, 21, 9, 3.75f});
  CHECK(error_of([&] {
          open_data_set(spec, {model_input("in", {1, 3, 8, 8})});
        }) == "data.shape 3");
  const DataSet rounded = open_data_set(spec, {model_input("in", {1, 3, 2, 1}, DType::kUInt8)});
  CHECK(rounded.sample(0)[0].to_int64() == std::vector<int64_t>{15, 21, 6, 9, 2, 4});
}

TEST_CASE("npz: grey pictures get their channel axis") {
  const ScratchDirectory folder;
  const std::string path = folder.write("x.npz", npz_bytes({{"images", ramp<uint8_t>({5, 2, 2})}}));
  const DataSet data = open_data_set(path, {model_input("in", {1, 1, 2, 2})});
  CHECK(data.size() == 5);
  CHECK(floats(data.sample(1)[0]) == std::vector<float>{4, 5, 6, 7});
  CHECK(data.sample(1)[0].shape() == Shape{1, 1, 2, 2});
  CHECK(data.warnings().size() == 1);
}

TEST_CASE("labels: counts, names, classes") {
  const ScratchDirectory folder;
  const auto open = [&](const Tensor& labels) {
    return open_data_set(
        folder.write("x.npz", npz_bytes({{"x", ramp<float>({3, 2})}, {"labels", labels}})),
        {model_input("x", {1, 2})});
  };
  CHECK(open(Tensor::vector<uint8_t>({1, 2, 3})).class_labels(2) == std::vector<int64_t>{3});
  CHECK(error_of([&] { open(Tensor::vector<int64_t>({1, 2})); }) == "data.labels 3");
  CHECK(error_of([&] {
          open(Tensor::vector<int64_t>({1, -2, 3})).class_labels(1);
        }) == "data.label 3");
  CHECK(error_of([&] {
          open(Tensor::vector<float>({1, 2.5f, 3})).class_labels(1);
        }) == "data.label 3");
  CHECK(open(ramp<float>({3, 2})).label(1).shape() == Shape{2});
}

TEST_CASE("NaN and infinity are refused unless allowed") {
  const ScratchDirectory folder;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    const std::string path = folder.write("x.npy", npy_bytes(Tensor::of<float>({2, 1}, {1, bad})));
    const DataSet data = open_data_set(path, {model_input("x", {1, 1})});
    CHECK(error_of([&] { data.sample(1); }) == "data.non_finite 3");
    CHECK(error_of([&] {
            open_data_set(path, {model_input("x", {1, 1})}, {.allow_non_finite = true}).sample(1);
          }) == "");
  }
}

TEST_CASE("types: no silent rounding, no silent wrapping") {
  const ScratchDirectory folder;
  const std::string path = folder.write("x.npy", npy_bytes(Tensor::of<float>({2}, {1.5f, 2})));
  CHECK(error_of([&] { open_data_set(path, {model_input("x", {2}, DType::kInt32)}); }) ==
        "data.dtype 3");
  const std::string wide =
      folder.write("y.npy", npy_bytes(Tensor::of<int64_t>({1}, {int64_t{1} << 40})));
  CHECK(error_of([&] { open_data_set(wide, {model_input("x", {1}, DType::kInt32)}); }) ==
        "data.range 3");
  const std::string exact = folder.write("z.npy", npy_bytes(Tensor::of<int32_t>({1}, {-5})));
  CHECK(open_data_set(exact, {model_input("x", {1}, DType::kInt64)})
            .sample(0)[0]
            .identical(Tensor::of<int64_t>({1}, {-5})));
  folder.write("s.json",
               R"({"format": "npy", "path": "x.npy", "inputs": {"x": {"dtype": "float16"}}})");
  CHECK(error_of([&] { open_data_set(folder.path("s.json"), {model_input("x", {2})}); }) ==
        "data.dtype 3");
}

TEST_CASE("csv: windows, strides, repeated columns, labels") {
  const ScratchDirectory folder;
  folder.write("x.csv", "t,a,b,label\nx,1,10,0\nx,2,20,1\nx,3,30,2\nx,4,40,3\nx,5,50,4\n");
  const auto open = [&](const std::string& keys, std::vector<int64_t> dims) {
    return open_data_set(
        folder.write("s.json",
                     R"({"format": "csv", "path": "x.csv", "labels": "label", "inputs": {"*": {)" +
                         keys + "}}}"),
        {model_input("x", std::move(dims))});
  };
  const DataSet data = open(R"("columns": ["b", "a", "b"], "window": 2, "stride": 2)", {-1, 2, 3});
  CHECK(data.size() == 2);
  CHECK(floats(data.sample(1)[0]) == std::vector<float>{30, 3, 30, 40, 4, 40});
  CHECK(data.class_labels(1) == std::vector<int64_t>{3});
  CHECK(data.sample_name(1) == "rows 4..5");
  const DataSet channels_first = open(R"("columns": ["a", "b"], "window": 3)", {1, 2, 3});
  CHECK(channels_first.size() == 3);
  CHECK(floats(channels_first.sample(0)[0]) == std::vector<float>{1, 2, 3, 10, 20, 30});
  CHECK(open(R"("columns": ["a"], "window": 4)", {1, 4}).sample(0)[0].shape() == Shape{1, 4});
  CHECK(error_of([&] { open(R"("columns": ["a"], "window": 6)", {1, 6}); }) == "data.window 3");
  CHECK(error_of([&] { open(R"("columns": ["c"])", {1, 1}); }) == "data.csv_column 3");
  const DataSet plain = open_data_set(folder.path("x.csv"), {model_input("x", {-1, 2})});
  CHECK(plain.size() == 5);
  CHECK(plain.has_labels());
  CHECK(floats(plain.sample(4)[0]) == std::vector<float>{5, 50});
}

TEST_CASE("a plain archive brings the state that it has arrays of; the rest is carried") {
  const ScratchDirectory folder;
  const std::vector<ModelInput> inputs = {model_input("x", {1, 3}), model_input("state", {1, 2}),
                                          model_input("count", {1, 1})};
  DataOptions options;
  options.carry = {{"next_state", "state"}, {"next_count", "count"}};
  const auto open = [&](std::vector<std::pair<std::string, Tensor>> arrays) {
    return open_data_set(folder.write("x.npz", npz_bytes(arrays)), inputs, options);
  };
  const DataSet carried = open({{"x", ramp<float>({4, 1, 3})}});
  CHECK(carried.carry() == options.carry);
  CHECK(floats(carried.sample(2)[1]) == std::vector<float>{0, 0});
  const DataSet given = open({{"x", ramp<float>({4, 1, 3})}, {"state", ramp<float>({4, 1, 2})}});
  CHECK(given.carry() == std::vector<std::pair<std::string, std::string>>{{"next_count", "count"}});
  CHECK(floats(given.sample(2)[1]) == std::vector<float>{4, 5});
  CHECK(error_of([&] {
          open({{"x", ramp<float>({4, 1, 3})}, {"state", ramp<float>({4, 1, 5})}});
        }) != "");
}

TEST_CASE("spec: constants, carried inputs and names") {
  const ScratchDirectory folder;
  folder.write("x.npy", npy_bytes(ramp<float>({2, 3})));
  const std::vector<ModelInput> inputs = {model_input("state", {2, -1, 4}),
                                          model_input("x", {1, 3}),
                                          model_input("rate", {}, DType::kInt64)};
  const auto open = [&](const std::string& rest) {
    return open_data_set(
        folder.write("s.json", R"({"format": "npy", "path": "x.npy", )" + rest + "}"), inputs);
  };
  const DataSet data =
      open(R"("inputs": {"*": {}, "rate": {"value": 16000}}, "carry": {"state": "out"})");
  CHECK(data.carry() == std::vector<std::pair<std::string, std::string>>{{"out", "state"}});
  const auto sample = data.sample(1);
  CHECK(sample[0].identical(Tensor::of<float>({2, 1, 4}, std::vector<float>(8))));
  CHECK(floats(sample[1]) == std::vector<float>{3, 4, 5});
  CHECK(sample[2].identical(Tensor::scalar<int64_t>(16000)));
  CHECK(error_of([&] { open(R"("inputs": {"*": {}})"); }) == "data.input 3");
  CHECK(error_of([&] { open(R"("inputs": {"x": {}, "rat": {"value": 1}})"); }) == "data.input 3");
  CHECK(error_of([&] {
          open(R"("inputs": {"*": {}, "rate": {"value": 1.5e300}}, "carry": {"state": "o"})");
        }) != "");
  CHECK(error_of([&] {
          open(R"("inputs": {"*": {}, "rate": {"value": 1}}, "carry": {"nothing": "o"})");
        }) == "data.input 3");
  CHECK(error_of([&] {
          open(R"("skip": 2, "inputs": {"*": {}, "rate": {"value": 1}}, "carry": {"state": "o"})");
        }) == "data.empty 3");
}

TEST_CASE("folders of pictures: order, labels, links") {
  const ScratchDirectory folder;
  const std::string png(
      "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx"
      "\x9c"
      "c\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xae"
      "B`\x82",
      69);
  for (const char* name : {"d/b.png", "d/a.PNG", "d/sub/c.png", "d/.hidden.png", "d/readme.txt"})
    folder.write(name, png);
  std::filesystem::create_symlink(folder.path("d/b.png"), folder.path("d/link.png"));
  const std::vector<ModelInput> inputs = {model_input("x", {1, 3, 1, 1})};
  const DataSet data = open_data_set(folder.path("d"), inputs);
  REQUIRE(data.size() == 3);
  CHECK(data.sample_name(0) == "a.PNG");
  CHECK(data.sample_name(2) == "sub/c.png");
  CHECK(floats(data.sample(0)[0]) == std::vector<float>{255, 0, 0});
  CHECK(open_data_set(folder.path("d"), inputs, {.follow_links = true}).size() == 4);
  folder.write("d/labels.csv", "file,label\nsub/c.png,4\nb.png,2\n");
  const DataSet labelled = open_data_set(folder.path("d"), inputs);
  CHECK(labelled.size() == 2);
  CHECK(labelled.sample_name(0) == "sub/c.png");
  CHECK(labelled.class_labels(1) == std::vector<int64_t>{2});
  for (const char* bad : {"../d/b.png", "/etc/passwd", "http://x/b.png", "sub/../../x.png"}) {
    folder.write("d/labels.csv", "file,label\n" + std::string(bad) + ",1\n");
    CHECK_MESSAGE(error_of([&] { open_data_set(folder.path("d"), inputs); }) == "data.path 3", bad);
  }
  folder.write("d/labels.csv", "file,label\nlink.png,1\n");
  CHECK(error_of([&] { open_data_set(folder.path("d"), inputs); }) == "data.open 3");
}

TEST_CASE("random data: seeded, near normal, within range") {
  const std::vector<ModelInput> inputs = {model_input("a", {-1, 100, 100}),
                                          model_input("b", {1000}, DType::kInt64),
                                          model_input("c", {1000}, DType::kUInt8)};
  const DataSet data = open_data_set("random", inputs, {.seed = 3, .random_samples = 2});
  CHECK(data.size() == 2);
  const auto first = data.sample(0);
  double sum = 0, squares = 0;
  for (const float value : floats(first[0])) sum += value, squares += value * value;
  CHECK(std::abs(sum / 10'000) < 0.04);
  CHECK(std::abs(squares / 10'000 - 1) < 0.05);
  CHECK(first[0].shape() == Shape{1, 100, 100});
  for (const int64_t value : first[1].to_int64()) CHECK((value >= 0 && value < 10));
  CHECK(first[0].identical(open_data_set("random", inputs, {.seed = 3}).sample(0)[0]));
  CHECK(!first[0].identical(open_data_set("random", inputs, {.seed = 4}).sample(0)[0]));
  CHECK(!first[0].identical(data.sample(1)[0]));
  CHECK(error_of([] {
          open_data_set("random", {model_input("a", {1, -1})});
        }) == "data.unknown_shape 3");
}

TEST_CASE("stream_samples: in order for any number of threads, errors in their turn") {
  const ScratchDirectory folder;
  std::vector<float> values(100);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  values[60] = std::numeric_limits<float>::quiet_NaN();
  const DataSet data =
      open_data_set(folder.write("x.npy", npy_bytes(Tensor::of<float>({100, 1}, values))),
                    {model_input("x", {1, 1})});
  for (const int threads : {1, 2, 7}) {
    size_t next = 5;
    stream_samples(data, 5, 60, threads, [&](size_t index, Feed feed) {
      CHECK(index == next++);
      CHECK(floats(feed.inputs[0])[0] == static_cast<float>(index));
    });
    CHECK(next == 60);
    size_t seen = 0;
    CHECK(error_of([&] { stream_samples(data, 0, 100, threads, [&](size_t, Feed) { ++seen; }); }) ==
          "data.non_finite 3");
    CHECK(seen == 60);
    CHECK_THROWS_AS(stream_samples(data, 0, 50, threads,
                                   [&](size_t index, Feed) {
                                     if (index == 3) throw std::runtime_error("stop");
                                   }),
                    std::runtime_error);
  }
}

TEST_CASE("stack_batch joins along axis 0") {
  const std::vector<std::vector<Tensor>> samples = {
      {ramp<float>({1, 2}), Tensor::scalar<int64_t>(5)},
      {ramp<float>({2, 2}), Tensor::scalar<int64_t>(5)}};
  const auto batch = stack_batch(samples);
  CHECK(batch[0].identical(Tensor::of<float>({3, 2}, {0, 1, 0, 1, 2, 3})));
  CHECK(batch[1].identical(Tensor::scalar<int64_t>(5)));
  const std::vector<std::vector<Tensor>> bad = {{ramp<float>({1, 2})}, {ramp<float>({1, 3})}};
  CHECK(error_of([&] { stack_batch(bad); }) == "data.batch 3");
}

TEST_CASE("real data: CIFAR-10, ImageNet pictures, MNIST, NAB, speech") {
  const std::string shared = std::string(LATHE_SHARED_DIR) + "/data";
  if (!std::filesystem::exists(shared)) {
    MESSAGE("skipped: no shared data beside the checkout");
    return;
  }
  const DataSet mnist = open_data_set(shared + "/mnist/t10k-images-idx3-ubyte.gz",
                                      {model_input("x", {1, 1, 28, 28})});
  CHECK(mnist.size() == 10'000);
  CHECK(mnist.class_labels(0) == std::vector<int64_t>{7});
  CHECK(open_data_set(shared + "/cifar10/test.npz", {model_input("x", {-1, 3, 32, 32})}).size() ==
        5000);
  const DataSet pictures =
      open_data_set(shared + "/imagenet300", {model_input("x", {-1, 3, 224, 224})});
  CHECK(pictures.size() == 300);
  CHECK(pictures.class_labels(1) == std::vector<int64_t>{3});
  CHECK(pictures.sample(299)[0].shape() == Shape{1, 3, 224, 224});
  CHECK(open_data_set(shared + "/speech/test.wav", {model_input("x", {1, 512})}).size() == 1875);
  CHECK(open_data_set(shared + "/nab/realKnownCause/nyc_taxi.csv", {model_input("x", {-1, 30, 1})})
            .size() > 1000);
}

}  // namespace lathe
