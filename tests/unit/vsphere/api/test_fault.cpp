// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>
#include <stdexcept>
#include <string>

#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/api/reply.hpp"

using namespace vsphere;

namespace {

std::string answer(const std::string &body) {
  const std::string prefix = "soapenv";
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<" + prefix + ":Envelope xmlns:" + prefix +
         "=\"http://schemas.xmlsoap.org/soap/envelope/\""
         " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><" +
         prefix + ":Body>" + body + "</" + prefix + ":Body></" + prefix + ":Envelope>";
}

std::string fault_answer(const std::string &text, const std::string &detail) {
  return answer("<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>" + text +
                "</faultstring><detail>" + detail + "</detail></soapenv:Fault>");
}

FaultError fault_of(const std::string &body) {
  try {
    soap::Reply reply(500, body, {1 << 20, 1 << 12}, "the call");
  } catch (const FaultError &e) {
    return e;
  }
  throw std::runtime_error("not a fault");
}

}  // namespace

TEST_CASE("the kind of a fault is its xsi:type, or else the name of its element") {
  FaultError login = fault_of(fault_answer(
      "Login failure", "<InvalidLoginFault xmlns=\"urn:vim25\" xsi:type=\"InvalidLogin\"/>"));
  CHECK(login.fault().kind == "InvalidLogin");
  CHECK(login.errnum() == EACCES);
  CHECK_THAT(login.what(), Catch::Contains("check user= and password="));

  FaultError no_type = fault_of(fault_answer("", "<NotAuthenticatedFault xmlns=\"urn:vim25\"/>"));
  CHECK(no_type.fault().kind == "NotAuthenticated");
  CHECK(no_type.meaning() == Meaning::session_expired);
  CHECK(fault_of(fault_answer("", "<v:FileFault xmlns:v=\"urn:vim25\"/>")).fault().kind == "File");
}

TEST_CASE("the meaning of each fault of change tracking") {
  auto meaning = [](const std::string &detail) {
    return fault_of(fault_answer("Error caused by file /vmfs/volumes/ds/vm/disk.vmdk", detail))
        .meaning();
  };
  std::string file_fault = "<FileFaultFault xmlns=\"urn:vim25\" xsi:type=\"FileFault\">";
  CHECK(meaning(file_fault + "<file>f</file></FileFaultFault>") == Meaning::tracking_lost);
  for (const char *key : {"noTrack", "noEpoch", "cannotGetChanges"}) {
    CHECK(meaning(file_fault + "<faultMessage><key>vim.hostd.vmsvc.cbt." + key +
                  "</key></faultMessage><file>f</file></FileFaultFault>") ==
          Meaning::tracking_lost);
  }
  CHECK(meaning(file_fault + "<faultMessage><key>vim.other.locked</key></faultMessage>"
                             "</FileFaultFault>") == Meaning::temporary);
  std::string argument = "<InvalidArgumentFault xmlns=\"urn:vim25\" xsi:type=\"InvalidArgument\">";
  CHECK(meaning(argument + "<invalidProperty>changeId</invalidProperty></InvalidArgumentFault>") ==
        Meaning::tracking_lost);
  CHECK(
      meaning(argument + "<invalidProperty>startOffset</invalidProperty></InvalidArgumentFault>") ==
      Meaning::final);
  CHECK(meaning("<SystemErrorFault xsi:type=\"SystemError\"/>") == Meaning::temporary);
  CHECK(meaning("<ManagedObjectNotFoundFault xsi:type=\"ManagedObjectNotFound\"/>") ==
        Meaning::final);
}

TEST_CASE("the error of a task is parsed and explained") {
  pugi::xml_document document;
  REQUIRE(document.load_string(
      "<val xmlns:xsi=\"i\" xsi:type=\"LocalizedMethodFault\"><fault xsi:type=\"TaskInProgress\">"
      "<task type=\"Task\">task-1</task></fault><localizedMessage>busy "
      "now</localizedMessage></val>"));
  Fault fault = parse_method_fault(document.first_child());
  CHECK(fault.kind == "TaskInProgress");
  CHECK(fault_error(fault, "creating a snapshot").errnum() == EBUSY);
  CHECK_THAT(fault_error(fault, "creating a snapshot").what(), Catch::Contains("busy now"));
  CHECK_THAT(fault_error({"Strange", "", "spec.x", {}}, "the call").what(),
             Catch::Contains("the call: Strange (spec.x)"));
}
