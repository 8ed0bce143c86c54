// SPDX-License-Identifier: BSD-3-Clause
//
// A password, or a text that holds one: zeroed when it goes.
#pragma once

#include <cstring>
#include <string>
#include <utility>

namespace vsphere {

// Not copied, so that there is one place to wipe. (What libcurl copies is out of reach.)
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

  // Also the rest of its buffer, where a moved-from short string keeps its bytes.
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
