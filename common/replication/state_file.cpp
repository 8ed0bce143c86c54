// SPDX-License-Identifier: BSD-3-Clause
#include "common/replication/state_file.hpp"

#include <cerrno>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "common/util/json_walk.hpp"

namespace replication {

namespace {

[[noreturn]] void refuse(const std::string &origin, const char *why) {
  util::fail(EINVAL, "{} is not a usable state file ({}): remove it to start with a full copy",
             origin, why);
}

// Numbers and texts of the first level, and "owed". depth_ 1: within the state; in owed_: 2 within
// the list, 3 within a pair.
class StateVisitor : public util::JsonVisitor {
 public:
  explicit StateVisitor(const std::string &origin) : origin_(origin) {}

  // Once the document has been walked.
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
  // What is of the wrong kind; fields that are none of ours may be anything.
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
  std::string field_;  // what the next value is for; empty: for nothing of ours
  uint64_t pair_[2] = {};
  size_t numbers_ = 0;  // of the pair, so far
  uint64_t end_ = 0;    // of the last range

  std::optional<uint64_t> version_, size_;
  std::optional<int64_t> disk_;
  std::optional<std::string> checkpoint_, source_, vm_, destination_;
  std::optional<std::vector<extents::Range>> owed_;
};

EachOwed each_of(const std::vector<extents::Range> &owed) {
  return [&owed](const auto &add) {
    for (const auto &range : owed) add(range);
  };
}

void write(const State &s, const EachOwed &each, const util::Write &out) {
  nlohmann::ordered_json header = {{"nbdkit-replicate", 1}, {"checkpoint", s.checkpoint},
                                   {"source", s.source},    {"vm", s.vm},
                                   {"disk", s.disk},        {"size", s.size}};
  if (!s.destination.empty()) header["destination"] = s.destination;
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

}  // namespace

uint64_t State::owed_bytes() const {
  return std::accumulate(owed.begin(), owed.end(), uint64_t{0},
                         [](uint64_t sum, const extents::Range &r) { return sum + r.length; });
}

std::optional<State> load_state(const std::string &path) {
  StateVisitor visitor(path);
  switch (util::walk_json_file(path, visitor)) {
    case util::Walk::done:
      return visitor.state();
    case util::Walk::no_file:
      return std::nullopt;
    case util::Walk::not_json:
      break;
  }
  refuse(path, "it is not JSON, or ends too early");
}

void save_state(const std::string &path, const State &state) {
  save_state(path, state, each_of(state.owed));
}

void save_state(const std::string &path, const State &state, const EachOwed &each) {
  util::replace_file(path, [&](const util::Write &out) { write(state, each, out); });
}

void check_belongs(const State &state, const std::optional<SourceDescription> &source,
                   uint64_t size, const std::string &parameter) {
  static constexpr const char *what_next =
      "give the destination's own state file, or remove it to start with a full copy";
  if (state.size != size) {
    util::fail(EINVAL, "{}: that state is of a disk of {} bytes, the source has {}; {}", parameter,
               state.size, size, what_next);
  }
  if (!source) return;
  bool known = !state.source.empty();  // an earlier source may not have said what it is
  if (known &&
      (source->source != state.source || source->vm != state.vm || source->disk != state.disk)) {
    util::fail(EINVAL, "{}: that state is of {} {} disk {}, the source is {} {} disk {}; {}",
               parameter, state.source, state.vm, state.disk, source->source, source->vm,
               source->disk, what_next);
  }
  // A run that was interrupted has the source's own checkpoint already.
  if (source->mode == "delta" && source->since != state.checkpoint &&
      (state.checkpoint.empty() || source->checkpoint != state.checkpoint)) {
    util::fail(EINVAL,
               "{}: the source shows what has changed since \"{}\", but the destination holds "
               "\"{}\"; start the source with since=@ and this state file",
               parameter, source->since, state.checkpoint);
  }
}

std::string format(const State &s) {
  std::string text;
  write(s, each_of(s.owed), [&](std::string_view part) { text += part; });
  return text;
}

State parse_state(const std::string &text, const std::string &origin) {
  StateVisitor visitor(origin);
  if (!util::walk_json(text, visitor)) refuse(origin, "it is not JSON");
  return visitor.state();
}

}  // namespace replication
