// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/json_walk.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"

namespace util {

namespace {

// nlohmann's events (its "SAX interface") as ours.
class Events {
 public:
  explicit Events(JsonVisitor &visitor) : visitor_(visitor) {}

  bool null() { return other(); }
  bool boolean(bool) { return other(); }
  bool number_integer(int64_t value) { return visitor_.negative(value), true; }
  bool number_unsigned(uint64_t value) { return visitor_.whole(value), true; }
  bool number_float(double, const std::string &) { return other(); }
  bool string(const std::string &value) { return visitor_.text(value), true; }
  bool binary(const std::vector<std::uint8_t> &) { return other(); }
  bool start_object(size_t) { return visitor_.begin_object(), true; }
  bool key(const std::string &name) { return visitor_.key(name), true; }
  bool end_object() { return visitor_.end(), true; }
  bool start_array(size_t) { return visitor_.begin_array(), true; }
  bool end_array() { return visitor_.end(), true; }
  bool parse_error(size_t, const std::string &, const nlohmann::json::exception &) { return false; }

 private:
  bool other() { return visitor_.other(), true; }
  JsonVisitor &visitor_;
};

// A file's bytes, a piece at a time.
class Bytes {
 public:
  Bytes(const Fd &fd, const std::string &path) : fd_(fd), path_(path) { fill(); }
  bool at_end() const { return size_ == 0; }
  const char &front() const { return buffer_[at_]; }
  void pop() {
    if (++at_ == size_) fill();
  }

 private:
  void fill() {
    ssize_t n;
    do {
      n = ::read(fd_.get(), buffer_.data(), buffer_.size());
    } while (n < 0 && errno == EINTR);
    if (n < 0) fail_os(errno, "cannot read {}", path_);
    at_ = 0;
    size_ = static_cast<size_t>(n);
  }

  const Fd &fd_;
  const std::string &path_;
  std::array<char, 65536> buffer_;
  size_t at_ = 0, size_ = 0;
};

// As much of an iterator as the parser wants: all of one file's share its place in it.
struct Cursor {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = ptrdiff_t;
  using pointer = const char *;
  using reference = const char &;

  reference operator*() const { return bytes->front(); }
  Cursor &operator++() { return bytes->pop(), *this; }
  bool operator==(const Cursor &) const { return bytes->at_end(); }  // the other one is the end
  bool operator!=(const Cursor &) const { return !bytes->at_end(); }

  Bytes *bytes;
};

}  // namespace

bool walk_json(std::string_view text, JsonVisitor &visitor) {
  Events events(visitor);
  return nlohmann::json::sax_parse(text.begin(), text.end(), &events);
}

Walk walk_json_file(const std::string &path, JsonVisitor &visitor) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return Walk::no_file;
  if (!fd) fail_os(errno, "cannot open {}", path);
  Bytes bytes(fd, path);
  Events events(visitor);
  bool good = nlohmann::json::sax_parse(Cursor{&bytes}, Cursor{&bytes}, &events);
  return good ? Walk::done : Walk::not_json;
}

}  // namespace util
