// Preloaded into lathe: to load LibTorch takes half a second, so it is loaded once, and each
// command that a test asks for runs lathe's own main in a fork.
#include "serve_forks.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

using Main = int (*)(int, char**, char**);
Main lathe_main = nullptr;  // libc passes nothing else along to what it starts

// Left closed when the path does not open.
void open_as(int descriptor, const char* path, int flags) {
  close(descriptor);
  const int opened = open(path, flags);
  if (opened < 0 || opened == descriptor) return;
  dup2(opened, descriptor);
  close(opened);
}

// In the fork.
int run(const lathe::ForkHead& head, std::string& text, char** environment) {
  close(lathe::kForkRequests);
  close(lathe::kForkReplies);
  std::vector<char*> words;
  for (size_t at = 0; at < text.size(); at = text.find('\0', at) + 1) words.push_back(&text[at]);
  open_as(STDIN_FILENO, "/dev/null", O_RDONLY);
  open_as(STDOUT_FILENO, words[1], O_WRONLY);
  open_as(STDERR_FILENO, words[2], O_WRONLY);
  if (*words[0] != '\0' && chdir(words[0]) != 0) return 127;
  if (setrlimit(RLIMIT_FSIZE, &head.file_size) != 0) return 127;
  words.erase(words.begin(), words.begin() + 3);
  words.push_back(nullptr);
  return lathe_main(static_cast<int>(words.size()) - 1, words.data(), environment);
}

int serve(int, char**, char** environment) {
  unsetenv("LD_PRELOAD");
  if (dlopen(LATHE_HEAVY, RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  for (lathe::ForkHead head; read(lathe::kForkRequests, &head, sizeof head) == sizeof head;) {
    std::string text(head.text_bytes, '\0');
    for (size_t at = 0; at < text.size();) {
      const ssize_t got = read(lathe::kForkRequests, &text[at], text.size() - at);
      if (got <= 0) return 1;
      at += static_cast<size_t>(got);
    }
    const pid_t child = fork();
    if (child == 0) {
      const int code = run(head, text, environment);
      // LibTorch's destructors take as long as a short command; what runs alone shows them.
      std::cout.flush();
      std::fflush(nullptr);
      _exit(code);
    }
    rusage usage{};
    lathe::ForkReply reply{child, 0, 0};
    if (write(lathe::kForkReplies, &reply, sizeof reply) != sizeof reply) return 1;
    if (child > 0) wait4(child, &reply.status, 0, &usage);
    reply.peak_bytes = usage.ru_maxrss * 1024;
    if (write(lathe::kForkReplies, &reply, sizeof reply) != sizeof reply) return 1;
  }
  return 0;
}

}  // namespace

// libc's, in front of the real one.
extern "C" int __libc_start_main(Main main, int argc, char** argv, void (*init)(), void (*fini)(),
                                 void (*loader_fini)(), void* stack_end) {
  using Start = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);
  lathe_main = main;
  const auto start = reinterpret_cast<Start>(dlsym(RTLD_NEXT, "__libc_start_main"));
  return start(serve, argc, argv, init, fini, loader_fini, stack_end);
}
