#include "os/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "ir/error.h"

namespace lathe {
namespace {

std::string_view kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a pipe";
    case S_IFSOCK: return "a socket";
    case S_IFCHR:
    case S_IFBLK: return "a device";
    default: return "not a regular file";
  }
}

}  // namespace

MappedFile map_file(int descriptor, std::string_view where) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0)
    throw bad_input("file.unreadable", std::string("cannot be read: ") + std::strerror(errno),
                    std::string(where));
  if (!S_ISREG(status.st_mode))
    throw bad_input("file.not_regular",
                    "is " + std::string(kind_of(status.st_mode)) + ", a file is needed",
                    std::string(where));
  MappedFile file;
  file.identity = {status.st_dev, status.st_ino};
  file.links = status.st_nlink;
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return file;
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED)
    throw bad_input("file.unreadable", std::string("cannot be mapped: ") + std::strerror(errno),
                    std::string(where));
  file.owner = std::shared_ptr<const void>(
      address, [size](const void* mapped) { ::munmap(const_cast<void*>(mapped), size); });
  file.bytes = {static_cast<const std::byte*>(address), size};
  return file;
}

void drop_pages(std::span<const std::byte> mapped) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(mapped.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(mapped.data() + mapped.size()) / page * page;
  // Advice: where it is not taken, nothing is lost but memory.
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

MappedFile map_file(const std::filesystem::path& path) {
  const std::string where = escape_untrusted(path.native());
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0)
    throw bad_input(errno == ENOENT ? "file.missing" : "file.unreadable",
                    errno == ENOENT ? "there is no such file"
                                    : std::string("cannot be opened: ") + std::strerror(errno),
                    where);
  const std::shared_ptr<const void> closer(nullptr,
                                           [descriptor](const void*) { ::close(descriptor); });
  return map_file(descriptor, where);
}

}  // namespace lathe
