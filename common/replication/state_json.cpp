// SPDX-License-Identifier: BSD-3-Clause
#include "common/replication/state_json.hpp"

#include <cerrno>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/util/error.hpp"
#include "common/util/json_walk.hpp"

namespace replication {

namespace {

[[noreturn]] void refuse(const std::string &origin, const char *why) {
  util::fail(EINVAL, "{} is not a usable state file ({}): remove it to start with a full copy",
             origin, why);
}

// Takes the fields that it knows from the first level of the document, and skips all others. depth_
// is 1 in the state's object; with in_owed_ it is 2 in the list and 3 in a pair.
class StateVisitor : public util::JsonVisitor {
 public:
  explicit StateVisitor(const std::string &origin) : origin_(origin) {}

  // After the whole document.
  State state() {
    if (version_ != 1) refuse(origin_, "\"nbdkit-replicate\" is not 1");
    State s;
    s.checkpoint = required(checkpoint_);
    s.source = required(source_);
    s.vm = required(vm_);
    s.disk = required(disk_);
    s.size = required(size_);
    if (end_ > s.size) refuse(origin_, out_of_order);
    s.owed = std::move(required(owed_));
    s.destination = destination_.value_or("");
    s.image = image_.value_or("");
    s.pull = pull_.value_or("");
    return s;
  }

  void begin_object() override {
    if (depth_ > 0) other();
    ++depth_;
    field_.clear();
  }
  void begin_array() override {
    if (depth_ == 0) other();
    if (in_owed_ && depth_ >= 3) no_pair();
    if (depth_ == 1 && field_ == "owed") {
      in_owed_ = true;
      owed_.emplace();
      end_ = 0;
    } else if (!in_owed_) {
      other();
    }
    numbers_ = 0;
    ++depth_;
    field_.clear();
  }
  void end() override {
    --depth_;
    if (in_owed_ && depth_ == 2) add_pair();
    if (depth_ == 1) in_owed_ = false;
    field_.clear();
  }
  void key(const std::string &name) override { field_ = depth_ == 1 ? name : ""; }
  void whole(uint64_t value) override {
    if (in_owed_) {
      if (depth_ != 3 || numbers_ == 2) no_pair();
      pair_[numbers_++] = value;
    } else if (field_ == "nbdkit-replicate") {
      version_ = value;
    } else if (field_ == "size") {
      size_ = value;
    } else if (field_ == "disk" && value <= INT64_MAX) {
      disk_ = static_cast<int64_t>(value);
    } else {
      other();
    }
  }
  void negative(int64_t value) override {
    if (field_ == "disk") {
      disk_ = value;
    } else {
      other();
    }
  }
  void text(const std::string &value) override {
    if (auto *to = text_field()) {
      *to = value;
    } else {
      other();
    }
  }
  // A value of a kind that the field does not have. Unknown fields may have any value.
  void other() override {
    if (depth_ == 0) refuse(origin_, "it is not a JSON object");
    if (in_owed_) no_pair();
    if (text_field() != nullptr) refuse(origin_, "a field that must be text is not");
    if (field_ == "disk") refuse(origin_, "\"disk\" is not a number");
    if (field_ == "size") refuse(origin_, "\"size\" is not a number");
    if (field_ == "owed") refuse(origin_, "\"owed\" is not an array");
    if (field_ == "nbdkit-replicate") refuse(origin_, "\"nbdkit-replicate\" is not 1");
  }

 private:
  static constexpr const char *out_of_order =
      "\"owed\" is unsorted, overlaps or lies beyond the disk";

  [[noreturn]] void no_pair() const {
    refuse(origin_, "\"owed\" holds something that is not [offset, length]");
  }
  template <typename T>
  T &required(std::optional<T> &field) const {
    if (!field) refuse(origin_, "a field is missing");
    return *field;
  }
  std::optional<std::string> *text_field() {
    if (field_ == "checkpoint") return &checkpoint_;
    if (field_ == "source") return &source_;
    if (field_ == "vm") return &vm_;
    if (field_ == "destination") return &destination_;
    if (field_ == "image") return &image_;
    if (field_ == "pull") return &pull_;
    return nullptr;
  }
  void add_pair() {
    if (numbers_ != 2) no_pair();
    extents::Range range{pair_[0], pair_[1]};
    if (range.offset < end_ || range.length > UINT64_MAX - range.offset) {
      refuse(origin_, out_of_order);
    }
    end_ = range.end();
    owed_->push_back(range);
  }

  const std::string &origin_;
  int depth_ = 0;
  bool in_owed_ = false;
  std::string field_;  // that the next value belongs to; empty: an unknown one
  uint64_t pair_[2] = {};
  size_t numbers_ = 0;  // how many of pair_ have been read
  uint64_t end_ = 0;    // of the last range of owed_

  std::optional<uint64_t> version_, size_;
  std::optional<int64_t> disk_;
  std::optional<std::string> checkpoint_, source_, vm_, destination_, image_, pull_;
  std::optional<std::vector<extents::Range>> owed_;
};

}  // namespace

EachOwed each_of(const std::vector<extents::Range> &owed) {
  return [&owed](const auto &add) {
    for (const auto &range : owed) add(range);
  };
}

void write_state(const State &s, const EachOwed &each, const durability::Write &out) {
  nlohmann::ordered_json header = {{"nbdkit-replicate", 1}, {"checkpoint", s.checkpoint},
                                   {"source", s.source},    {"vm", s.vm},
                                   {"disk", s.disk},        {"size", s.size}};
  if (!s.destination.empty()) header["destination"] = s.destination;
  if (!s.image.empty()) header["image"] = s.image;
  if (!s.pull.empty()) header["pull"] = s.pull;
  std::string text = header.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  text.back() = ',';
  out(text + "\"owed\":[");
  const char *separator = "";
  each([&](const extents::Range &range) {
    out(fmt::format("{}[{},{}]", separator, range.offset, range.length));
    separator = ",";
  });
  out("]}\n");
}

std::optional<State> read_state(const std::string &path) {
  StateVisitor visitor(path);
  switch (util::walk_json_file(path, visitor)) {
    case util::Walk::done:
      return visitor.state();
    case util::Walk::no_file:
      return std::nullopt;
    case util::Walk::not_json:
      break;
  }
  refuse(path, "it is not JSON, or is cut off");
}

std::string format(const State &s) {
  std::string text;
  write_state(s, each_of(s.owed), [&](std::string_view part) { text += part; });
  return text;
}

State parse_state(const std::string &text, const std::string &origin) {
  StateVisitor visitor(origin);
  if (!util::walk_json(text, visitor)) refuse(origin, "it is not JSON");
  return visitor.state();
}

}  // namespace replication
