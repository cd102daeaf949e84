#pragma once

#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace lathe {

/// Starts the program words[0] with `environment`; SIGINT and SIGTERM end it, which they would not
/// from a shell that runs tests in the background.
inline pid_t spawn(std::vector<std::string> words, std::vector<std::string> environment,
                   const posix_spawn_file_actions_t* actions = nullptr) {
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
  };
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGTERM);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int problem = posix_spawn(&child, words[0].c_str(), actions, &attributes,
                                  pointers(words).data(), pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  if (problem != 0) throw std::runtime_error("cannot start " + words[0]);
  return child;
}

/// This process's, with these settings (NAME=VALUE) in place of its own of the same names.
inline std::vector<std::string> environment_with(std::vector<std::string> settings) {
  const size_t given = settings.size();
  for (char** old = environ; *old != nullptr; ++old) {
    const std::string setting = *old;
    const std::string name = setting.substr(0, setting.find('=') + 1);
    bool replaced = false;
    for (size_t i = 0; i < given; ++i) replaced = replaced || settings[i].rfind(name, 0) == 0;
    if (!replaced) settings.push_back(setting);
  }
  return settings;
}

}  // namespace lathe
