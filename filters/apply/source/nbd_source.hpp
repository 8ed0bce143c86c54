// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <string>

#include "common/util/log.hpp"
#include "filters/apply/source/source.hpp"

namespace apply {

// An NBD server. Each DiskBytes that it returns has a connection of its own. What there is to warn of
// when it is connected to is logged by load(), and not again.
class NbdSource : public Source {
 public:
  NbdSource(std::string uri, const Timeouts &timeouts, util::Log log);
  const std::string &name() const override { return uri_; }
  DeltaView load() override;
  std::unique_ptr<DiskBytes> connect(const DeltaView &view) override;
  std::unique_ptr<DiskBytes> honest(const DeltaView &view) override;
  void confirm(const DeltaView &view) override;

 private:
  ReconnectingPool::Check shows(const DeltaView &view) const;

  const std::string uri_;
  const Timeouts timeouts_;
  const util::Log log_;
};

// The URI of the export "honest" of the same server ("honest/NAME" for the export NAME).
std::string honest_uri(const std::string &uri);

}  // namespace apply
