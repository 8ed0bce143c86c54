// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/transport.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include "plugins/vsphere/http/thumbprint.hpp"
#include "plugins/vsphere/transport/https/disk.hpp"
#include "plugins/vsphere/transport/https/vmdk_descriptor.hpp"

namespace vsphere {

namespace {

// Short: a host behind a firewall does not answer at all, and the server is the alternative.
constexpr std::chrono::seconds host_connect_timeout{5};

}  // namespace

HttpsTransport::HttpsTransport(const Endpoint &endpoint, const Credentials &credentials,
                               const RetryPolicy &policy, unsigned connections,
                               const util::Log &log)
    : endpoint_(endpoint),
      policy_(policy),
      connections_(connections),
      log_(log),
      datastore_(endpoint, credentials, policy, connections, log),
      tickets_(endpoint, credentials, policy, datastore_.login(), log) {}

std::unique_ptr<DiskReader> HttpsTransport::open(const DiskPlace &place) {
  const uint64_t capacity = place.info.capacity;
  DatastorePath descriptor = parse_datastore_path(place.info.file, place.datacenter, [&] {
    return tickets_.datastore_names(place.vm, place.info.datastore);
  });
  FlatExtent extent = parse_vmdk_descriptor(datastore_.read_text(descriptor), descriptor.name());
  DatastorePath file = descriptor.sibling(extent.file);
  if (extent.size < capacity || capacity < sector_size) {
    util::fail(EIO, "{} describes {} bytes, but the disk has {}", descriptor.name(), extent.size,
               capacity);
  }
  std::array<std::byte, sector_size> last;
  uint64_t size = datastore_.read(file, last, capacity - sector_size);
  if (size < extent.size) {
    util::fail(EIO, "{} has {} bytes, its descriptor says {}", file.name(), size, extent.size);
  }
  std::unique_ptr<EsxiHostFile> host = find_host(place, file, last, size);
  route_ = host ? "directly from " + host->host() : "through " + endpoint_.host;
  return std::make_unique<HttpsDisk>(HttpsDisk::Routes{datastore_, endpoint_.host, std::move(host)},
                                     tickets_, file, size, log_);
}

// Returns the file on the host that the virtual machine runs on; null if the host cannot be used.
// `last` is the disk's last sector and `size` the size of the file, as the server has them.
std::unique_ptr<EsxiHostFile> HttpsTransport::find_host(const DiskPlace &place,
                                                        const DatastorePath &file,
                                                        std::span<const std::byte> last,
                                                        uint64_t size) {
  std::string host = "the ESXi host";
  try {
    std::optional<std::string> name = tickets_.host_of(place.vm);
    if (!name) return nullptr;  // the server is the host
    host = *name;
    if (host == unreachable_) return nullptr;
    return try_host(host, place, file, last, size);
  } catch (const util::Error &e) {
    auto *failure = dynamic_cast<const TransportError *>(&e);
    if (failure != nullptr && !failure->connected()) unreachable_ = host;
    log_.info("{} is read through {}, not directly from {}: {}", file.name(), endpoint_.host, host,
              e.what());
    return nullptr;
  }
}

std::unique_ptr<EsxiHostFile> HttpsTransport::try_host(const std::string &host,
                                                       const DiskPlace &place,
                                                       const DatastorePath &file,
                                                       std::span<const std::byte> last,
                                                       uint64_t size) {
  Ticket ticket = tickets_.acquire(host_url(host, file), ServiceTickets::Retries::of_policy);
  HttpPool &pool = pool_of(host, ticket.thumbprint);
  auto opened = std::make_unique<EsxiHostFile>(pool, tickets_, file, ticket, policy_, log_);
  std::array<std::byte, sector_size> same;
  uint64_t there = opened->probe(same, place.info.capacity - sector_size);
  if (there != size || !std::equal(last.begin(), last.end(), same.begin())) {
    util::fail(EIO, "{} has a different file with that name", host);
  }
  return opened;
}

// The server, whose certificate has been verified, tells the thumbprint of its host's certificate.
HttpPool &HttpsTransport::pool_of(const std::string &host, const std::string &thumbprint) {
  for (auto &pool : host_pools_) {
    if (pool.endpoint().host == host) return pool;
  }
  Endpoint endpoint = endpoint_;
  endpoint.host = host;
  endpoint.connect_timeout = std::min(endpoint.connect_timeout, host_connect_timeout);
  endpoint.thumbprint.clear();
  if (!thumbprint.empty()) {
    endpoint.thumbprint = parse_thumbprint(thumbprint);
    endpoint.cafile.clear();
    endpoint.insecure = false;
  }
  return host_pools_.emplace_back(endpoint, connections_, log_);
}

void HttpsTransport::disconnect() noexcept {
  datastore_.disconnect();
  for (HttpPool &pool : host_pools_) pool.disconnect();
  tickets_.disconnect();
}

std::string HttpsTransport::description() const {
  return fmt::format("https {}, {} connections", route_, connections_);
}

}  // namespace vsphere
