// SPDX-License-Identifier: BSD-3-Clause
//
// The precompiled header of all unit tests: what most of them include, and what takes a compiler longest. A test
// includes what it uses all the same. (No guard: compilers warn of one in what they precompile.)
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>
