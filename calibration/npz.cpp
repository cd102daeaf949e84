#include "calibration/npz.h"

#include <fmt/format.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>

#include "calibration/npy.h"
#include "ir/error.h"

namespace lathe {
namespace {

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};
using Member = std::unique_ptr<zip_file_t, CloseMember>;

// libzip handles are not thread-safe: one lock for the archive and all its open members.
struct Archive {
  std::string where;
  std::mutex mutex;
  std::unique_ptr<zip_t, CloseArchive> zip;
};

std::shared_ptr<Archive> open_archive(const std::string& path) {
  const DataFile file = DataFile::open(path);
  auto archive = std::make_shared<Archive>();
  archive->where = shown_path(path);
  const int fd = ::dup(file.descriptor());
  int code = 0;
  zip_t* zip = fd < 0 ? nullptr : zip_fdopen(fd, ZIP_CHECKCONS, &code);
  if (zip == nullptr) {
    if (fd >= 0) ::close(fd);
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string why = zip_error_strerror(&error);
    zip_error_fini(&error);
    throw bad_input("data.npz", "this is no readable npz archive: " + escape_untrusted(why),
                    archive->where);
  }
  archive->zip.reset(zip);
  return archive;
}

Member open_member(Archive& archive, zip_uint64_t index, const std::string& where) {
  Member member(zip_fopen_index(archive.zip.get(), index, 0));
  if (!member)
    throw bad_input("data.npz",
                    fmt::format("cannot open the member: {}", zip_strerror(archive.zip.get())),
                    where);
  return member;
}

// Reads exactly out.size() bytes; at the end of a member libzip compares the CRC.
void read_exactly(zip_file_t* member, std::span<std::byte> out, const std::string& where) {
  for (size_t done = 0; done < out.size();) {
    const zip_int64_t got = zip_fread(member, out.data() + done, out.size() - done);
    if (got <= 0)
      throw bad_input("data.npz",
                      fmt::format("the member is damaged: {}",
                                  got < 0 ? zip_file_strerror(member) : "it ends early"),
                      where);
    done += static_cast<size_t>(got);
  }
}

void expect_end(zip_file_t* member, const std::string& where) {
  std::byte extra{};
  const zip_int64_t got = zip_fread(member, &extra, 1);
  if (got == 0) return;
  throw bad_input("data.npz",
                  got < 0 ? fmt::format("the member is damaged: {}", zip_file_strerror(member))
                          : std::string("the member is longer than the archive says"),
                  where);
}

ReadBytes read_stored(std::shared_ptr<Archive> archive, zip_uint64_t index, uint64_t size,
                      const std::string& where) {
  Member member = open_member(*archive, index, where);
  std::vector<std::byte> block(size_t{1} << 20);
  for (uint64_t done = 0; done < size;) {
    const size_t part = static_cast<size_t>(std::min<uint64_t>(block.size(), size - done));
    read_exactly(member.get(), std::span(block).first(part), where);
    done += part;
  }
  expect_end(member.get(), where);
  member = open_member(*archive, index, where);
  std::shared_ptr<zip_file_t> held(std::move(member));
  // The archive is captured first and therefore outlives the member.
  return [archive, held, where](uint64_t offset, std::span<std::byte> out) {
    const std::lock_guard lock(archive->mutex);
    if (zip_fseek(held.get(), static_cast<zip_int64_t>(offset), SEEK_SET) != 0)
      throw bad_input("data.npz", "cannot read the member", where);
    read_exactly(held.get(), out, where);
  };
}

ReadBytes read_compressed(Archive& archive, zip_uint64_t index, uint64_t size,
                          const std::string& where) {
  if (size > static_cast<uint64_t>(kMaxArrayBytes))
    throw over_limit("data.npz_size",
                     fmt::format("the compressed member unpacks to {} bytes, the limit is {}", size,
                                 kMaxArrayBytes),
                     where, "numpy.savez stores arrays uncompressed; these are read on demand");
  std::vector<std::byte> bytes(static_cast<size_t>(size));
  const Member member = open_member(archive, index, where);
  read_exactly(member.get(), bytes, where);
  expect_end(member.get(), where);
  return array_of(Tensor::from_bytes(DType::kUInt8, {static_cast<int64_t>(size)}, std::move(bytes)),
                  where)
      .read;
}

void check_member(const zip_stat_t& status, const std::string& where) {
  if ((status.valid & (ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD)) !=
      (ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD))
    throw bad_input("data.npz", "the archive does not say how large the member is", where);
  if ((status.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && status.encryption_method != ZIP_EM_NONE)
    throw bad_input("data.npz", "the member is encrypted", where);
  if (status.comp_method != ZIP_CM_STORE && status.comp_method != ZIP_CM_DEFLATE)
    throw bad_input("data.npz",
                    fmt::format("compression method {} is not read", status.comp_method), where);
}

}  // namespace

std::vector<NamedArray> open_npz(const std::string& path) {
  const std::shared_ptr<Archive> archive = open_archive(path);
  const zip_int64_t count = zip_get_num_entries(archive->zip.get(), 0);
  if (count > kMaxZipEntries)
    throw over_limit(
        "data.npz_entries",
        fmt::format("the archive has {} members, the limit is {}", count, kMaxZipEntries),
        archive->where);
  std::vector<NamedArray> arrays;
  std::set<std::string> names;
  uint64_t packed = 0;
  uint64_t unpacked = 0;
  for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(count); ++i) {
    zip_stat_t status;
    if (zip_stat_index(archive->zip.get(), i, 0, &status) != 0 ||
        (status.valid & ZIP_STAT_NAME) == 0)
      throw bad_input("data.npz", fmt::format("member {} cannot be described", i), archive->where);
    std::string name = status.name;
    const std::string where = archive->where + ": " + escape_untrusted(name);
    if (!names.insert(name).second)
      throw bad_input("data.npz", "two members have this name", where);
    if (name.size() < 5 || name.compare(name.size() - 4, 4, ".npy") != 0) continue;
    check_member(status, where);
    // The sums bound overlapping members as well.
    if (__builtin_add_overflow(packed, status.comp_size, &packed) ||
        __builtin_add_overflow(unpacked, status.size, &unpacked) ||
        (unpacked > kZipFreeBytes && unpacked / kMaxZipRatio > packed))
      throw over_limit(
          "data.npz_ratio",
          fmt::format("the archive unpacks to more than {} times its size", kMaxZipRatio), where,
          "numpy.savez stores arrays uncompressed");
    const bool stored = status.comp_method == ZIP_CM_STORE;
    if (stored && status.size != status.comp_size)
      throw bad_input("data.npz", "a stored member has two different sizes", where);
    ReadBytes read = stored ? read_stored(archive, i, status.size, where)
                            : read_compressed(*archive, i, status.size, where);
    name.resize(name.size() - 4);
    arrays.push_back({std::move(name), open_npy(std::move(read), status.size, where)});
  }
  if (arrays.empty()) throw bad_input("data.npz", "the archive holds no arrays", archive->where);
  return arrays;
}

std::vector<std::string> npz_arrays_among(const std::string& path,
                                          const std::vector<std::string>& names) {
  const std::shared_ptr<Archive> archive = open_archive(path);
  std::vector<std::string> found;
  for (const std::string& name : names)
    if (zip_name_locate(archive->zip.get(), (name + ".npy").c_str(), 0) >= 0) found.push_back(name);
  return found;
}

std::string npz_bytes(const std::vector<std::pair<std::string, Tensor>>& tensors) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* buffer = zip_source_buffer_create(nullptr, 0, 0, &error);
  if (buffer == nullptr) throw bad_output("npz.write", "no memory for the archive");
  zip_source_keep(buffer);
  struct FreeSource {
    void operator()(zip_source_t* source) const { zip_source_free(source); }
  };
  const std::unique_ptr<zip_source_t, FreeSource> held(buffer);
  std::unique_ptr<zip_t, CloseArchive> zip(zip_open_from_source(buffer, ZIP_TRUNCATE, &error));
  if (!zip) {
    zip_source_free(buffer);
    throw bad_output("npz.write", "cannot make an archive in memory");
  }
  std::vector<std::string> members;
  members.reserve(tensors.size());  // libzip refers to the bytes until zip_close
  for (const auto& [name, tensor] : tensors) {
    members.push_back(npy_bytes(tensor));
    zip_source_t* source =
        zip_source_buffer(zip.get(), members.back().data(), members.back().size(), 0);
    const zip_int64_t index = source == nullptr ? -1
                                                : zip_file_add(zip.get(), (name + ".npy").c_str(),
                                                               source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      const std::string why = zip_strerror(zip.get());
      if (source != nullptr) zip_source_free(source);
      throw bad_output("npz.write", "cannot add the array: " + why, escape_untrusted(name));
    }
    const auto at = static_cast<zip_uint64_t>(index);
    zip_set_file_compression(zip.get(), at, ZIP_CM_STORE, 0);
    zip_file_set_dostime(zip.get(), at, 0, (0 << 9) | (1 << 5) | 1, 0);  // 1980-01-01 00:00
    zip_file_set_external_attributes(zip.get(), at, 0, ZIP_OPSYS_UNIX, 0100644u << 16);
  }
  if (zip_close(zip.get()) != 0)
    throw bad_output("npz.write",
                     fmt::format("cannot finish the archive: {}", zip_strerror(zip.get())));
  zip.release();
  zip_stat_t status;
  zip_stat_init(&status);
  std::string out;
  // An archive without members is no archive for libzip: numpy writes the end record alone.
  if (tensors.empty()) return std::string("PK\x05\x06", 4) + std::string(18, '\0');
  if (zip_source_stat(buffer, &status) != 0 || zip_source_open(buffer) != 0)
    throw bad_output("npz.write", "cannot read the archive back");
  out.resize(static_cast<size_t>(status.size));
  const zip_int64_t got = zip_source_read(buffer, out.data(), out.size());
  zip_source_close(buffer);
  if (got != static_cast<zip_int64_t>(out.size()))
    throw bad_output("npz.write", "cannot read the archive back");
  return out;
}

}  // namespace lathe
