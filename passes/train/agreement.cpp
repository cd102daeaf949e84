#include "train/agreement.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "train/checkpoint.h"

namespace lathe {
namespace {

constexpr int64_t kBucketBytes = 25'000'000;

int64_t number_of(Processes& processes, int64_t rank, int64_t own) {
  at::Tensor number = at::scalar_tensor(processes.rank() == rank ? own : 0, at::kLong).reshape({1});
  processes.sum(number);
  return number[0].item<int64_t>();
}

/// The text of one process, in all. Characters as integers: what sum() takes.
std::string text_of(Processes& processes, int64_t rank, const std::string& own) {
  const int64_t size = number_of(processes, rank, static_cast<int64_t>(own.size()));
  at::Tensor letters = at::zeros({size}, at::kLong);
  int64_t* values = letters.data_ptr<int64_t>();
  if (processes.rank() == rank)
    for (size_t i = 0; i < own.size(); ++i) values[i] = static_cast<unsigned char>(own[i]);
  processes.sum(letters);
  std::string text(static_cast<size_t>(size), '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(values[i]);
  return text;
}

/// The flat gradients of a run of parameters, and where they go back to.
class Bucket {
 public:
  explicit Bucket(Processes& processes) : processes_(processes) {}

  void add(at::Tensor gradient) {
    if (!gradients_.empty() && gradients_.front().scalar_type() != gradient.scalar_type()) send();
    bytes_ += static_cast<int64_t>(gradient.nbytes());
    gradients_.push_back(std::move(gradient));
    if (bytes_ >= kBucketBytes) send();
  }

  void send() {
    if (gradients_.empty()) return;
    std::vector<at::Tensor> flat;
    for (const at::Tensor& gradient : gradients_) flat.push_back(gradient.reshape({-1}));
    at::Tensor sums = at::cat(flat);
    processes_.sum(sums);
    int64_t first = 0;
    for (at::Tensor& gradient : gradients_) {
      gradient.copy_(sums.narrow(0, first, gradient.numel()).reshape(gradient.sizes()));
      first += gradient.numel();
    }
    gradients_.clear();
    bytes_ = 0;
  }

 private:
  Processes& processes_;
  std::vector<at::Tensor> gradients_;
  int64_t bytes_ = 0;
};

}  // namespace

std::string text_of_first(Processes& processes, const std::string& own) {
  at::Tensor size = at::scalar_tensor(static_cast<int64_t>(own.size()), at::kLong).reshape({1});
  processes.take_from_first(size);
  at::Tensor bytes = at::zeros({size[0].item<int64_t>()}, at::kByte);
  if (processes.rank() == 0) std::memcpy(bytes.data_ptr(), own.data(), own.size());
  processes.take_from_first(bytes);
  return {static_cast<const char*>(bytes.data_ptr()), static_cast<size_t>(bytes.numel())};
}

std::optional<Error> first_error(Processes& processes, const std::optional<Error>& own,
                                 int64_t order) {
  at::Tensor orders = at::zeros({processes.size()}, at::kLong);
  int64_t* values = orders.data_ptr<int64_t>();
  if (own) values[processes.rank()] = order + 1;
  processes.sum(orders);
  int64_t first = -1, least = std::numeric_limits<int64_t>::max();
  for (int64_t rank = 0; rank < processes.size(); ++rank) {
    if (values[rank] == 0 || (first >= 0 && values[rank] >= least)) continue;
    least = values[rank];
    first = rank;
  }
  if (first < 0) return std::nullopt;
  const auto share = [&](const std::string& text) { return text_of(processes, first, text); };
  const int64_t code = number_of(processes, first, own ? static_cast<int64_t>(own->code()) : 0);
  const std::string id = share(own ? own->id() : "");
  const ErrorText text = {share(own ? own->text().message : ""),
                          share(own ? own->text().where : ""), share(own ? own->text().hint : "")};
  return Error(static_cast<ExitCode>(code), id, text);
}

void require_same(Processes& processes, const std::map<std::string, std::string>& recipe) {
  const std::string bytes = text_of_first(processes, checkpoint_bytes({recipe, {}}));
  std::optional<Error> error;
  for (const auto& [key, value] : parse_checkpoint(bytes, "rank 0").recipe) {
    const auto own = recipe.find(key);
    if (error || (own != recipe.end() && own->second == value)) continue;
    error = bad_usage("train.processes",
                      fmt::format("{} is {} in rank {} and {} in rank 0", escape_untrusted(key),
                                  own != recipe.end() ? escape_untrusted(own->second) : "not given",
                                  processes.rank(), escape_untrusted(value)),
                      {}, "start all processes with the same flags, model and data");
  }
  if (const auto agreed = first_error(processes, error)) throw *agreed;
}

void sum_gradients(const Parameters& parameters, Processes& processes) {
  const at::NoGradGuard no_gradient;
  at::Tensor present = at::zeros({static_cast<int64_t>(parameters.size())}, at::kLong);
  for (size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i]->tensor->grad().defined()) present.data_ptr<int64_t>()[i] = 1;
  processes.sum(present);
  Bucket bucket(processes);
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (present.data_ptr<int64_t>()[i] == 0) continue;
    at::Tensor& gradient = parameters[i]->tensor->mutable_grad();
    if (!gradient.defined()) gradient = at::zeros_like(parameters[i]->tensor->detach());
    bucket.add(gradient);
  }
  bucket.send();
}

}  // namespace lathe
