// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/http/transfer.hpp"

#include <new>

namespace vsphere {

namespace {

constexpr int slice_ms = 250;  // between two calls of interrupt while nothing moves

// Takes the handle out again, whatever happens.
class Added {
 public:
  Added(CURLM *multi, CURL *curl) : multi_(multi), curl_(curl) {
    if (curl_multi_add_handle(multi, curl) != CURLM_OK) throw std::bad_alloc();
  }
  ~Added() { curl_multi_remove_handle(multi_, curl_); }
  Added(const Added &) = delete;
  Added &operator=(const Added &) = delete;

 private:
  CURLM *multi_;
  CURL *curl_;
};

}  // namespace

Transfers::Transfers() : multi_(curl_multi_init()) {
  if (!multi_) throw std::bad_alloc();
}

CURLcode Transfers::perform(CURL *curl, const std::function<void()> &interrupt) {
  const Added added(multi_.get(), curl);
  for (;;) {
    int running = 0;
    if (curl_multi_perform(multi_.get(), &running) != CURLM_OK) return CURLE_OUT_OF_MEMORY;
    if (running == 0) break;
    if (interrupt) interrupt();
    if (curl_multi_poll(multi_.get(), nullptr, 0, slice_ms, nullptr) != CURLM_OK)
      return CURLE_OUT_OF_MEMORY;
  }
  int left = 0;
  while (const CURLMsg *message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg == CURLMSG_DONE && message->easy_handle == curl) return message->data.result;
  }
  return CURLE_RECV_ERROR;
}

}  // namespace vsphere
