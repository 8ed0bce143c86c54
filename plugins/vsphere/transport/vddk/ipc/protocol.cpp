// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

#include <cerrno>
#include <cstring>
#include <type_traits>
#include <utility>

#include "common/util/error.hpp"

namespace vsphere::vddk {

namespace {

constexpr uint32_t version = 1;
constexpr size_t text_limit = 4096;  // bytes of a text that may be cut

// Writes fields into a buffer that is never reallocated, so that no copy of a password stays in
// freed memory.
class MessageWriter {
 public:
  MessageWriter() { out_.reserve(max_message); }

  void operator()(uint32_t value) { raw(&value, sizeof value); }
  void operator()(uint64_t value) { raw(&value, sizeof value); }
  void operator()(bool value) { (*this)(uint32_t{value}); }
  void operator()(LogLine::Level value) { (*this)(static_cast<uint32_t>(value)); }
  void operator()(const Secret &value) { (*this)(std::string_view(value.get())); }
  void operator()(std::string_view text) {
    (*this)(static_cast<uint32_t>(text.size()));
    raw(text.data(), text.size());
  }
  std::string take() { return std::move(out_); }

 private:
  void raw(const void *data, size_t length) {
    if (length > max_message - out_.size()) {
      Secret::wipe(out_);
      util::fail(EINVAL,
                 "the parameters for VDDK are too long: together they have more than {} bytes",
                 max_message);
    }
    out_.append(static_cast<const char *>(data), length);
  }
  std::string out_;
};

class MessageReader {
 public:
  explicit MessageReader(std::string_view packet) : left_(packet) {}

  void operator()(uint32_t &value) { raw(&value, sizeof value); }
  void operator()(uint64_t &value) { raw(&value, sizeof value); }
  void operator()(bool &value) {
    uint32_t number = 0;
    (*this)(number);
    value = number != 0;
  }
  void operator()(LogLine::Level &value) {
    uint32_t number = 0;
    (*this)(number);
    if (number > static_cast<uint32_t>(LogLine::Level::helper)) broken("has an unknown level");
    value = static_cast<LogLine::Level>(number);
  }
  void operator()(Secret &value) {
    std::string text;
    (*this)(text);
    value = Secret(std::move(text));
  }
  void operator()(std::string &text) {
    uint32_t length = 0;
    (*this)(length);
    if (length > left_.size()) broken("is cut short");
    text.assign(left_.substr(0, length));
    left_.remove_prefix(length);
  }
  void end() const {
    if (!left_.empty()) broken("is too long");
  }
  [[noreturn]] static void broken(const char *how) {
    util::fail(EPROTO, "a message between the plugin and its VDDK helper {}", how);
  }

 private:
  void raw(void *to, size_t length) {
    if (length > left_.size()) broken("is cut short");
    std::memcpy(to, left_.data(), length);
    left_.remove_prefix(length);
  }
  std::string_view left_;
};

// Calls f(field) for the fields of a message, in the order in which they are written and read.
template <typename F>
void fields(F &f, auto &m) {
  using M = std::remove_cvref_t<decltype(m)>;
  if constexpr (std::is_same_v<M, Start>) {
    f(m.library), f(m.directory), f(m.config), f(m.server), f(m.port), f(m.user), f(m.password);
    f(m.thumbprint), f(m.vm), f(m.snapshot), f(m.path), f(m.transports), f(m.identity);
    f(m.open_flags), f(m.slots);
  } else if constexpr (std::is_same_v<M, Read>) {
    f(m.id), f(m.slot), f(m.sector), f(m.count);
  } else if constexpr (std::is_same_v<M, Query>) {
    f(m.id), f(m.slot), f(m.sector), f(m.count), f(m.chunk);
  } else if constexpr (std::is_same_v<M, Started>) {
    f(m.sectors), f(m.mode), f(m.can_query);
  } else if constexpr (std::is_same_v<M, Failed>) {
    f(m.step), f(m.code), f(m.text);
  } else if constexpr (std::is_same_v<M, Done>) {
    f(m.id), f(m.code), f(m.count), f(m.text);
  } else if constexpr (std::is_same_v<M, LogLine>) {
    f(m.level), f(m.text);
  }
}

// The kind of a message is its index in the variant.
template <size_t kind = 0>
Message read_kind(uint32_t wanted, MessageReader &reader) {
  if constexpr (kind == std::variant_size_v<Message>) {
    MessageReader::broken("is of an unknown type");
  } else {
    if (wanted != kind) return read_kind<kind + 1>(wanted, reader);
    std::variant_alternative_t<kind, Message> message;
    fields(reader, message);
    return message;
  }
}

template <typename M>
std::string encode_cut(M message, uint32_t kind) {
  if (message.text.size() > text_limit) message.text.resize(text_limit);
  MessageWriter writer;
  writer(version), writer(kind);
  fields(writer, message);
  return writer.take();
}

}  // namespace

std::string encode(const Message &message) {
  auto kind = static_cast<uint32_t>(message.index());
  return std::visit(
      [&](const auto &m) {
        using M = std::remove_cvref_t<decltype(m)>;
        if constexpr (requires { m.text; }) {
          return encode_cut<M>(m, kind);
        } else {
          MessageWriter writer;
          writer(version), writer(kind);
          fields(writer, m);
          return writer.take();
        }
      },
      message);
}

Message decode(std::string_view packet) {
  MessageReader reader(packet);
  uint32_t its_version = 0, kind = 0;
  reader(its_version), reader(kind);
  if (its_version != version) MessageReader::broken("has another version: reinstall both");
  Message message = read_kind(kind, reader);
  reader.end();
  return message;
}

}  // namespace vsphere::vddk
