#include "train/train_position.h"

#include "ir/error.h"

namespace lathe {

void put_position(const TrainPosition& position, Checkpoint& checkpoint) {
  const TrainResult& result = position.result;
  std::map<std::string, Tensor>& tensors = checkpoint.tensors;
  for (const auto& [name, tensor] : result.best) tensors["best/" + name] = tensor;
  std::vector<double> records;
  for (const EpochRecord& record : result.epochs) {
    records.push_back(record.loss);
    records.push_back(record.learning_rate);
    records.push_back(record.metric.value_or(0));
  }
  tensors["train/epochs"] =
      Tensor::of<double>({static_cast<int64_t>(result.epochs.size()), 3}, records);
  tensors["train/step"] = Tensor::scalar<int64_t>(position.step);
  tensors["train/epoch_loss"] = Tensor::scalar<double>(position.epoch_loss);
  tensors["train/best_epoch"] = Tensor::scalar<int64_t>(result.best_epoch.value_or(-1));
}

TrainPosition position_of(const Checkpoint& saved, const TrainOptions& options,
                          int64_t steps_per_epoch) {
  const auto refuse = [&] {
    return bad_usage("train.checkpoint", "the checkpoint is inconsistent",
                     escape_untrusted(options.checkpoint), "start anew without --resume");
  };
  TrainPosition position;
  TrainResult& result = position.result;
  position.step = saved.tensor("train/step", DType::kInt64, {}).values<int64_t>()[0];
  position.epoch_loss = saved.tensor("train/epoch_loss", DType::kFloat64, {}).values<double>()[0];
  const int64_t best = saved.tensor("train/best_epoch", DType::kInt64, {}).values<int64_t>()[0];
  const auto epochs = saved.tensors.find("train/epochs");
  if (epochs == saved.tensors.end() || epochs->second.dtype() != DType::kFloat64 ||
      epochs->second.rank() != 2 || epochs->second.shape()[1] != 3)
    throw refuse();
  const auto records = epochs->second.values<double>();
  for (size_t i = 0; i + 2 < records.size(); i += 3) {
    EpochRecord record{records[i], records[i + 1], {}};
    if (options.validate) record.metric = records[i + 2];
    result.epochs.push_back(record);
  }
  // After the last step of an epoch its validation may still be to do.
  const auto over = static_cast<int64_t>(result.epochs.size());
  const int64_t done = over * steps_per_epoch;
  if (over > options.epochs || position.step < done || position.step > done + steps_per_epoch ||
      best >= over || best < -1 || (best >= 0 && !options.validate))
    throw refuse();
  if (best >= 0) result.best_epoch = best;
  for (const auto& [name, tensor] : saved.tensors)
    if (name.starts_with("best/")) result.best[name.substr(5)] = tensor;
  return position;
}

}  // namespace lathe
