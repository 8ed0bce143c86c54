// SPDX-License-Identifier: BSD-3-Clause
//
// Transfers of libcurl that can be interrupted while nothing moves. curl_easy_perform() promises to call its progress
// function about once a second then; libcurl 8.23 does not.
#pragma once

#include <curl/curl.h>

#include <functional>
#include <memory>

namespace vsphere {

// Keeps the connections of the handle that it is used with, as the handle itself would. One thread at a time.
class Transfers {
 public:
  Transfers();

  // As curl_easy_perform(). interrupt, if any, is called several times a second, and whenever something has moved; what
  // it throws ends the transfer and goes to the caller.
  CURLcode perform(CURL *curl, const std::function<void()> &interrupt);

 private:
  struct Cleanup {
    void operator()(CURLM *multi) const { curl_multi_cleanup(multi); }
  };
  std::unique_ptr<CURLM, Cleanup> multi_;
};

}  // namespace vsphere
