#include "onnx/external_data.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <vector>

#include "ir/error.h"

namespace lathe {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void reset(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

std::vector<std::string> components(std::string_view location) {
  std::vector<std::string> parts;
  while (!location.empty()) {
    const size_t slash = location.find('/');
    parts.emplace_back(location.substr(0, slash));
    location.remove_prefix(slash == location.npos ? location.size() : slash + 1);
  }
  return parts;
}

// Why the text cannot be a file beneath the model's directory; empty when it can.
std::string_view fault_of(std::string_view location) {
  if (location.empty()) return "is empty";
  if (location.size() > kMaxNameBytes) return "is too long";
  if (location.find('\0') != location.npos) return "holds a NUL";
  if (location.front() == '/') return "is absolute";
  if (location.back() == '/') return "names a directory";
  if (location.find('\\') != location.npos) return "holds a backslash";
  if (location.size() > 1 && location[1] == ':') return "starts with a drive letter";
  bool names_file = false;
  for (const std::string& part : components(location)) {
    if (part == "..") return "leaves the model's directory";
    names_file = part != "." && !part.empty();
  }
  return names_file ? "" : "names a directory";
}

// Step by step without following a link, for kernels (before 5.6) and sandboxes without openat2.
int open_by_steps(int directory, std::string_view location) {
  const std::vector<std::string> parts = components(location);
  Descriptor at(::fcntl(directory, F_DUPFD_CLOEXEC, 0));
  for (size_t i = 0; at.valid() && i < parts.size(); ++i) {
    if (parts[i].empty() || parts[i] == ".") continue;
    const bool last = i + 1 == parts.size();
    const int flags = O_NOFOLLOW | (last ? kOpenFlags : O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    struct stat status {};
    const bool link = ::fstatat(at.get(), parts[i].c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                      S_ISLNK(status.st_mode);
    at.reset(::openat(at.get(), parts[i].c_str(), flags));
    // O_DIRECTORY says ENOTDIR of a link; what openat2 says is clearer.
    if (!at.valid() && link) errno = ELOOP;
  }
  if (!at.valid()) return -1;
  return ::fcntl(at.get(), F_DUPFD_CLOEXEC, 0);
}

int open_beneath(int directory, const std::string& location, bool follow_links) {
  if (follow_links) return ::openat(directory, location.c_str(), kOpenFlags);
  open_how how{};
  how.flags = static_cast<uint64_t>(kOpenFlags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long fd = -1;
  do {
    fd = ::syscall(SYS_openat2, directory, location.c_str(), &how, sizeof how);
  } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  if (fd < 0 && (errno == ENOSYS || errno == EPERM)) return open_by_steps(directory, location);
  return static_cast<int>(fd);
}

std::optional<uint64_t> decimal(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // from_chars takes no sign for unsigned types, no prefix and no space.
  if (error != std::errc{} || end != text.data() + text.size() || value > INT64_MAX)
    return std::nullopt;
  return value;
}

struct Place {
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};

Place read_place(const onnx::TensorProto& proto, const std::string& where) {
  std::map<std::string, std::string> entries;
  for (const auto& entry : proto.external_data())
    if (!entries.emplace(entry.key(), entry.value()).second)
      throw bad_input("external_data.duplicate_key",
                      "external data names '" + escape_untrusted(entry.key()) + "' twice", where);
  const auto number = [&](const std::string& key) -> std::optional<uint64_t> {
    const auto it = entries.find(key);
    if (it == entries.end()) return std::nullopt;
    const auto value = decimal(it->second);
    if (!value)
      throw bad_input("external_data.bad_number",
                      fmt::format("external data has {} '{}', decimal digits are needed", key,
                                  escape_untrusted(it->second)),
                      where);
    return value;
  };
  Place place;
  place.location = entries["location"];
  place.offset = number("offset").value_or(0);
  place.length = number("length");
  if (const auto it = entries.find("checksum"); it != entries.end()) {
    const bool sha1 = it->second.size() == 40 &&
                      it->second.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    if (!sha1)
      throw bad_input("external_data.bad_checksum", "external data has a checksum that is no SHA-1",
                      where);
  }
  return place;
}

}  // namespace

ExternalFiles::ExternalFiles(std::filesystem::path directory, const ReadOptions& options,
                             std::optional<FileIdentity> model)
    : directory_(std::move(directory)),
      follow_links_(options.follow_links),
      refuse_hard_links_(options.refuse_hard_links),
      model_(model) {}

const MappedFile& ExternalFiles::open(const std::string& location, const std::string& where) {
  if (const auto it = files_.find(location); it != files_.end()) return it->second;
  const std::string shown = escape_untrusted(location);
  if (directory_.empty())
    throw bad_input(
        "external_data.no_directory",
        "the tensor's data is in the file '" + shown + "', but the model has no directory", where,
        "give the model as a file");
  if (const std::string_view fault = fault_of(location); !fault.empty())
    throw bad_input("external_data.location",
                    fmt::format("the place of external data, '{}', {}", shown, fault), where,
                    "data files must lie beneath the model's directory");
  const Descriptor directory(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid())
    throw bad_input("external_data.missing",
                    std::string("the model's directory cannot be opened: ") + std::strerror(errno),
                    where);
  const Descriptor file(open_beneath(directory.get(), location, follow_links_));
  if (!file.valid()) {
    if (errno == ENOENT)
      throw bad_input("external_data.missing",
                      "the tensor's data is in the file '" + shown + "', which does not exist",
                      where, "put '" + shown + "' beside the model");
    if (errno == ELOOP || errno == EXDEV)
      throw bad_input("external_data.link",
                      "the data file '" + shown + "' is reached through a symbolic link", where,
                      "use --follow-links when the link can be trusted");
    throw bad_input(
        "external_data.unreadable",
        fmt::format("the data file '{}' cannot be opened: {}", shown, std::strerror(errno)), where);
  }
  MappedFile mapped = map_file(file.get(), where + ": data file '" + shown + "'");
  if (model_ && mapped.identity == *model_)
    throw bad_input("external_data.model_itself", "the model names itself as its data file", where);
  if (refuse_hard_links_ && mapped.links > 1)
    throw bad_input("external_data.hard_link",
                    "the data file '" + shown + "' has several hard links", where,
                    "copy the file, or use --limits default");
  return files_.emplace(location, std::move(mapped)).first->second;
}

Tensor ExternalFiles::tensor(const onnx::TensorProto& proto, DType dtype, const Shape& shape,
                             MemoryBudget& budget) {
  const std::string where = "tensor '" + escape_untrusted(proto.name()) + "'";
  if (dtype == DType::kString)
    throw bad_input("external_data.string", "strings cannot be external data", where);
  const Place place = read_place(proto, where);
  const auto needed = static_cast<uint64_t>(dtype_bytes(dtype, element_count(shape)));
  if (place.length && *place.length != needed)
    throw bad_input("external_data.length",
                    fmt::format("external data has length {}, but {} of shape {} needs {} bytes",
                                *place.length, dtype_name(dtype), shape_text(shape), needed),
                    where);
  const MappedFile& file = open(place.location, where);
  if (place.offset > file.bytes.size() || needed > file.bytes.size() - place.offset)
    throw bad_input("external_data.bounds",
                    fmt::format("the data file '{}' has {} bytes, but bytes {} to {} are needed",
                                escape_untrusted(place.location), file.bytes.size(), place.offset,
                                place.offset + needed),
                    where, "fetch the data file again");
  const auto bytes = file.bytes.subspan(place.offset, needed);
  const auto width = static_cast<uint64_t>(std::clamp(dtype_bits(dtype) / 8, 1, 8));
  if (reinterpret_cast<uintptr_t>(bytes.data()) % width != 0)
    budget.charge(static_cast<int64_t>(needed), "unaligned external data");
  return Tensor::from_owner(dtype, shape, file.owner, bytes);
}

}  // namespace lathe
