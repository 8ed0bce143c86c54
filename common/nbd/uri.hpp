// SPDX-License-Identifier: BSD-3-Clause
//
// NBD URIs, as far as they are read before libnbd is given them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nbd {

// The URI with the files that its query names (socket=, tls-certificates=, tls-psk-file=) as
// absolute paths, below `directory` where they are relative: nbdkit changes its directory when it
// becomes a daemon, so a relative one would be found at start-up and not later.
std::string absolute_uri(std::string_view uri, std::string_view directory);
// The same, below the working directory.
std::string absolute_uri(std::string_view uri);

// The URI as a name for messages: without user, password and query, but with the socket's path, for
// without it all destinations on Unix sockets would look the same.
std::string name_of_uri(std::string_view uri);

// The parameters of the query as libnbd reads them: separated by "&" (or by ";" where no "&" follows),
// percent-decoded, without the fragment.
std::vector<std::pair<std::string, std::string>> uri_parameters(std::string_view uri);

}  // namespace nbd
