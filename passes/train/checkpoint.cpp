#include "train/checkpoint.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "ir/error.h"
#include "os/publish.h"
#include "os/read_file.h"
#include "os/sha256.h"

namespace lathe {
namespace {

constexpr std::string_view kMagic = "lathe checkpoint";
constexpr uint32_t kVersion = 1;
constexpr size_t kHashDigits = 64;
constexpr int64_t kMaxBytes = int64_t{1} << 40;

void put_number(std::string& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

void put_text(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out += text;
}

Error damaged(const std::string& name, std::string what) {
  return bad_usage("train.checkpoint", std::move(what), name,
                   "resume from another checkpoint, or start anew without --resume");
}

// Or a symbolic link. Anything else at the path is not lathe's to move away.
bool is_file(const std::string& path) {
  struct stat facts {};
  return ::lstat(path.c_str(), &facts) == 0 && (S_ISREG(facts.st_mode) || S_ISLNK(facts.st_mode));
}

// Reads what put_* wrote; every count is checked against what is left.
class Reader {
 public:
  Reader(std::string_view bytes, const std::string& name) : left_(bytes), name_(name) {}

  std::string_view bytes(uint64_t count) {
    if (count > left_.size()) throw damaged(name_, "the checkpoint is inconsistent");
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  uint64_t number() {
    const std::string_view taken = bytes(8);
    uint64_t value = 0;
    for (size_t i = 0; i < 8; ++i)
      value |= uint64_t{static_cast<unsigned char>(taken[i])} << (8 * i);
    return value;
  }
  std::string text() { return std::string(bytes(number())); }
  bool at_end() const { return left_.empty(); }

 private:
  std::string_view left_;
  const std::string& name_;
};

Tensor read_tensor(Reader& reader, const std::string& name) {
  const uint64_t type = reader.number();
  const uint64_t rank = reader.number();
  if (type >= kDTypeCount || dtype_bits(static_cast<DType>(type)) == 0 || rank > kMaxRank)
    throw damaged(name, "the checkpoint holds no valid tensor");
  const auto dtype = static_cast<DType>(type);
  Shape shape;
  for (uint64_t i = 0; i < rank; ++i) shape.push_back(static_cast<int64_t>(reader.number()));
  const std::string_view data = reader.bytes(reader.number());
  std::vector<std::byte> bytes(data.size());
  if (!bytes.empty()) std::memcpy(bytes.data(), data.data(), data.size());
  try {
    return Tensor::from_bytes(dtype, std::move(shape), std::move(bytes));
  } catch (const Error& error) {
    throw damaged(name, error.text().message);
  }
}

}  // namespace

const Tensor& Checkpoint::tensor(const std::string& name, DType dtype, const Shape& shape) const {
  const auto found = tensors.find(name);
  const auto refuse = [&](std::string what) {
    return bad_usage("train.checkpoint_model", std::move(what), escape_untrusted(name),
                     "the checkpoint is of another model; start anew without --resume");
  };
  if (found == tensors.end()) throw refuse("the checkpoint lacks this tensor");
  if (found->second.dtype() != dtype || found->second.shape() != shape)
    throw refuse(fmt::format("the checkpoint has {} {}, the run needs {} {}",
                             dtype_name(found->second.dtype()), shape_text(found->second.shape()),
                             dtype_name(dtype), shape_text(shape)));
  return found->second;
}

std::string checkpoint_bytes(const Checkpoint& checkpoint) {
  std::string out(kMagic);
  put_number(out, kVersion);
  put_number(out, checkpoint.recipe.size());
  for (const auto& [key, value] : checkpoint.recipe) {
    put_text(out, key);
    put_text(out, value);
  }
  put_number(out, checkpoint.tensors.size());
  for (const auto& [key, tensor] : checkpoint.tensors) {
    put_text(out, key);
    put_number(out, static_cast<uint64_t>(tensor.dtype()));
    put_number(out, static_cast<uint64_t>(tensor.rank()));
    for (const int64_t size : tensor.shape()) put_number(out, static_cast<uint64_t>(size));
    const auto bytes = tensor.bytes();
    put_text(out, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  out += sha256_hex(std::string_view(out));
  return out;
}

Checkpoint parse_checkpoint(const std::string& bytes, const std::string& name) {
  if (!bytes.starts_with(kMagic)) throw damaged(name, "this is no checkpoint of lathe");
  if (bytes.size() < kMagic.size() + 8 + kHashDigits)
    throw damaged(name, "the checkpoint was cut short");
  const std::string_view content(bytes.data(), bytes.size() - kHashDigits);
  Reader reader(content, name);
  reader.bytes(kMagic.size());
  if (const uint64_t version = reader.number(); version != kVersion)
    throw damaged(
        name, fmt::format("the checkpoint has version {}, this lathe reads {}", version, kVersion));
  if (sha256_hex(content) != std::string_view(bytes).substr(content.size()))
    throw damaged(name, "the checkpoint was cut short or damaged: its checksum is wrong");
  Checkpoint checkpoint;
  for (uint64_t left = reader.number(); left > 0; --left) {
    std::string key = reader.text();
    checkpoint.recipe[std::move(key)] = reader.text();
  }
  for (uint64_t left = reader.number(); left > 0; --left) {
    std::string key = reader.text();
    checkpoint.tensors[std::move(key)] = read_tensor(reader, name);
  }
  if (!reader.at_end()) throw damaged(name, "the checkpoint is inconsistent");
  return checkpoint;
}

std::string previous_checkpoint(const std::string& path) { return path + ".previous"; }

void save_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  std::vector<StagedFile> files;
  files.emplace_back(path).write(checkpoint_bytes(checkpoint));
  files.back().finish();
  if (is_file(path)) {
    const std::string previous = previous_checkpoint(path);
    StagedFile former(previous);
    former.finish();
    ::unlink(former.temporary().c_str());
    if (::link(path.c_str(), former.temporary().c_str()) == 0)
      // Renamed after the new file: until then `path` is never absent.
      files.push_back(std::move(former));
    else if (::rename(path.c_str(), previous.c_str()) != 0)  // a file system without links
      throw bad_output(
          "output.write",
          fmt::format("the former checkpoint cannot be kept: {}", std::strerror(errno)),
          escape_untrusted(path));
  }
  publish(std::move(files), /*replace=*/true);
}

LoadedCheckpoint load_newest_checkpoint(const std::string& path) {
  const auto read = [](const std::string& file) {
    return parse_checkpoint(read_file(file, kMaxBytes, ExitCode::kUsage), file);
  };
  try {
    return {read(path), false, {}};
  } catch (const Error& newest) {
    const std::string previous = previous_checkpoint(path);
    if (!is_file(previous)) throw;
    try {
      return {read(previous), true, newest.text().message};
    } catch (const Error& older) {
      throw bad_usage(
          "train.checkpoint",
          fmt::format("{}; and of the one before: {}", newest.text().message, older.text().message),
          escape_untrusted(path), "start anew without --resume");
    }
  }
}

Checkpoint load_checkpoint(const std::string& path) {
  return load_newest_checkpoint(path).checkpoint;
}

bool checkpoint_exists(const std::string& path) {
  return is_file(path) || is_file(previous_checkpoint(path));
}

void require_same_recipe(const Checkpoint& checkpoint,
                         const std::map<std::string, std::string>& recipe,
                         const std::string& name) {
  const auto refuse = [&](const std::string& key, std::string_view then, std::string_view now) {
    return bad_usage(
        "train.checkpoint_recipe",
        fmt::format("the checkpoint is of another run: {} was {}, now it is {}",
                    escape_untrusted(key), escape_untrusted(then), escape_untrusted(now)),
        name, "resume with the flags it was started with, or start anew");
  };
  for (const auto& [key, now] : recipe) {
    const auto then = checkpoint.recipe.find(key);
    if (then == checkpoint.recipe.end()) throw refuse(key, "not given", now);
    if (then->second != now) throw refuse(key, then->second, now);
  }
  for (const auto& [key, then] : checkpoint.recipe)
    if (!recipe.contains(key)) throw refuse(key, then, "not given");
}

}  // namespace lathe
