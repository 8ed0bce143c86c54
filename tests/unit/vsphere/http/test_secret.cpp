// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <string>
#include <utility>

#include "plugins/vsphere/http/secret.hpp"

using namespace vsphere;

TEST_CASE("a secret that was moved from is empty") {
  for (const std::string text : {"short", "a password that is too long for the string itself"}) {
    std::string given = text;
    Secret a(std::move(given));
    CHECK(given.empty());
    Secret b(std::move(a));
    CHECK(a.empty());
    CHECK(b.get() == text);
    a = std::move(b);
    CHECK(a.get() == text);
  }
}
