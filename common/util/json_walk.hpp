// SPDX-License-Identifier: BSD-3-Clause
//
// A streaming JSON parser, for documents that are too long to be kept in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace util {

// Receives the tokens of a document in order. An exception of the visitor ends the walk and is passed on
// to the caller.
class JsonVisitor {
 public:
  virtual ~JsonVisitor() = default;
  virtual void begin_object() = 0;
  virtual void begin_array() = 0;
  virtual void end() = 0;  // of the innermost object or array
  virtual void key(const std::string &name) = 0;
  virtual void whole(uint64_t value) = 0;    // a whole number that is not negative
  virtual void negative(int64_t value) = 0;  // a whole number below zero
  virtual void text(const std::string &value) = 0;
  virtual void other() = 0;  // null, true, false, a number that is not whole
};

// False if the text is not one JSON document; the visitor has seen what precedes the error.
bool walk_json(std::string_view text, JsonVisitor &visitor);

enum class Walk { done, no_file, not_json };
// The same for a file, of any length. Throws Error if it cannot be read.
Walk walk_json_file(const std::string &path, JsonVisitor &visitor);

}  // namespace util
