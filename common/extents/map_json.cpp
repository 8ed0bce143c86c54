// SPDX-License-Identifier: BSD-3-Clause
#include "common/extents/map_json.hpp"

#include <cerrno>
#include <limits>
#include <optional>
#include <vector>

#include "common/util/error.hpp"
#include "common/util/json_walk.hpp"

namespace extents {

namespace {

[[noreturn]] void refuse(const std::string &origin, const std::string &why) {
  util::fail(
      EINVAL,
      "{} is not a map as `nbdinfo --map --json` prints it: {}; make it anew with that command",
      origin, why);
}

// depth_ 1: within the array; 2: within an entry; more: within something that is none of ours.
class MapVisitor : public util::JsonVisitor {
 public:
  MapVisitor(const std::string &origin, const AddDescribed &add) : origin_(origin), add_(add) {}

  uint64_t end_of_map() const { return end_; }

  void begin_object() override {
    if (depth_ == 0) no_array();
    if (++depth_ == 2) {
      offset_ = length_ = type_ = std::nullopt;
      description_.clear();
    }
    field_ = nullptr;
    in_description_ = false;
  }
  void begin_array() override {
    if (depth_ == 1) no_entry();
    ++depth_;
    field_ = nullptr;
  }
  void end() override {
    if (depth_-- == 2) add_entry();
    field_ = nullptr;
  }
  void key(const std::string &name) override {
    field_ = nullptr;
    in_description_ = depth_ == 2 && name == "description";
    if (depth_ != 2) return;
    if (name == "offset") field_ = &offset_;
    if (name == "length") field_ = &length_;
    if (name == "type") field_ = &type_;
    if (field_ != nullptr) *field_ = std::nullopt;
  }
  void whole(uint64_t value) override {
    other();
    if (field_ != nullptr) *field_ = value;
  }
  void negative(int64_t) override { other(); }
  void text(const std::string &value) override {
    other();
    if (in_description_ && depth_ == 2) description_ = value;
  }
  void other() override {
    if (depth_ == 0) no_array();
    if (depth_ == 1) no_entry();
  }

 private:
  using Number = std::optional<uint64_t>;

  [[noreturn]] void no_array() const { refuse(origin_, "it is not a JSON array"); }
  [[noreturn]] void no_entry() const { refuse(origin_, "an entry is not an object"); }
  uint64_t required(const Number &number, const char *key) const {
    if (!number) refuse(origin_, std::string("an entry has no number \"") + key + "\"");
    return *number;
  }

  void add_entry() {
    const uint64_t type = required(type_, "type");
    if (type > std::numeric_limits<Type>::max()) refuse(origin_, "a type has more than 32 bits");
    Extent e{required(offset_, "offset"), required(length_, "length"), static_cast<Type>(type)};
    if (e.offset != end_) {
      refuse(origin_, fmt::format("the entry at {} should be at {}", e.offset, end_));
    }
    if (e.length > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) - end_) {
      refuse(origin_, "its lengths add up to more than 2^63");
    }
    end_ = e.end();
    add_(e, description_);
  }

  const std::string &origin_;
  const AddDescribed &add_;
  int depth_ = 0;
  Number offset_, length_, type_;
  Number *field_ = nullptr;  // what the next value is for
  std::string description_;
  bool in_description_ = false;
  uint64_t end_ = 0;
};

// Only the flags of base:allocation.
Extent allocation_of(Extent e) {
  e.type &= hole | zero;
  return e;
}

}  // namespace

ExtentMap parse_map(std::string_view text, const std::string &origin) {
  std::vector<Extent> list;
  AddDescribed add = [&](const Extent &e, const std::string &) {
    list.push_back(allocation_of(e));
  };
  MapVisitor visitor(origin, add);
  if (!util::walk_json(text, visitor)) refuse(origin, "it is not JSON");
  ExtentMap map(visitor.end_of_map());
  for (const Extent &e : list) map.set(e.range(), e.type);
  return map;
}

uint64_t load_map(const std::string &path, const std::string &origin,
                  const std::function<void(const Extent &)> &add) {
  return load_context_map(path, origin,
                          [&](const Extent &e, const std::string &) { add(allocation_of(e)); });
}

uint64_t load_context_map(const std::string &path, const std::string &origin,
                          const AddDescribed &add) {
  MapVisitor visitor(origin, add);
  switch (util::walk_json_file(path, visitor)) {
    case util::Walk::done:
      break;
    case util::Walk::no_file:
      util::fail(ENOENT, "{}: there is no such file", origin);
    case util::Walk::not_json:
      refuse(origin, "it is not JSON, or ends too early");
  }
  return visitor.end_of_map();
}

std::string format_map(const ExtentMap &map) {
  std::string out = "[\n";
  bool first = true;
  map.for_each({0, map.size()}, [&](const Extent &e) {
    static constexpr const char *names[] = {"data", "hole", "zero", "hole,zero"};
    out +=
        fmt::format("{}{{ \"offset\": {}, \"length\": {}, \"type\": {}, \"description\": \"{}\" }}",
                    first ? "" : ",\n", e.offset, e.length, e.type, names[e.type & 3]);
    first = false;
    return true;
  });
  return out + "\n]\n";
}

}  // namespace extents
