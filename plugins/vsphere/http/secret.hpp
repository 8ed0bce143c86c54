// SPDX-License-Identifier: BSD-3-Clause
//
// A password, or a text with a password in it. The memory is zeroed when the object is destroyed.
#pragma once

#include <cstring>
#include <string>
#include <utility>

namespace vsphere {

// Cannot be copied, so that one place has to be zeroed. (Copies that libcurl makes are not zeroed.)
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string &&text) : text_(std::move(text)) { wipe(text); }
  Secret(Secret &&other) noexcept : text_(std::move(other.text_)) { wipe(other.text_); }
  Secret &operator=(Secret &&other) noexcept {
    wipe(text_);
    text_ = std::move(other.text_);
    wipe(other.text_);
    return *this;
  }
  ~Secret() { wipe(text_); }

  const std::string &get() const { return text_; }
  bool empty() const { return text_.empty(); }

  // Zeroes the whole buffer: a short string that was moved from still has its bytes there.
  static void wipe(std::string &text) noexcept {
    text.resize(text.capacity());
    explicit_bzero(text.data(), text.size());
    text.clear();
  }

 private:
  std::string text_;
};

struct Credentials {
  std::string user;
  Secret password;
};

}  // namespace vsphere
