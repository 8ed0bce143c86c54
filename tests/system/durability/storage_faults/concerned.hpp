// SPDX-License-Identifier: BSD-3-Clause
//
// What is in this folder is for LD_PRELOAD: a server's files in the directory $STORAGE_OF are on a storage with faults.
#pragma once

// Whether the descriptor is of a file in that directory.
bool is_concerned(int fd);
