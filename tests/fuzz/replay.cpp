// SPDX-License-Identifier: BSD-3-Clause
//
// Runs a fuzz target over the files of its corpus, once each, and says so in TAP.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "common/util/file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    for (const auto &entry : std::filesystem::directory_iterator(argv[i])) {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  int number = 0;
  for (const auto &file : files) {
    std::string bytes = util::read_file(file).value();
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
    std::printf("ok %d - %s\n", ++number, std::filesystem::path(file).filename().c_str());
  }
  std::printf("1..%d\n", number);
  return number > 0 ? 0 : 1;
}
