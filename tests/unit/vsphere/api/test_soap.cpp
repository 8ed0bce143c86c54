// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/fault.hpp"
#include "plugins/vsphere/api/soap.hpp"

using namespace vsphere;

namespace {

// As servers send it: the prefixes differ from one to the next.
std::string answer(const std::string &body, const std::string &prefix = "soapenv") {
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
    soap::Reply reply(500, body, "the call");
  } catch (const FaultError &e) {
    return e;
  }
  throw std::runtime_error("not a fault");
}

}  // namespace

TEST_CASE("an envelope names the method, its object and the arguments, escaped") {
  std::string text =
      soap::envelope("FindByUuid", {"SearchIndex", "si-1"},
                     soap::element("uuid", "a<b&\"c>") + soap::element("vmSearch", true));
  CHECK(text.find("<FindByUuid xmlns=\"urn:vim25\"><_this type=\"SearchIndex\">si-1</_this>"
                  "<uuid>a&lt;b&amp;&quot;c&gt;</uuid><vmSearch>true</vmSearch></FindByUuid>") !=
        std::string::npos);
  pugi::xml_document document;
  REQUIRE(document.load_string(text.c_str()));
  pugi::xml_node body = soap::child(soap::child(document, "Envelope"), "Body");
  CHECK(soap::text(soap::child(body, "FindByUuid"), "uuid") == "a<b&\"c>");
}

TEST_CASE("an answer is read whatever its prefixes are") {
  for (const char *prefix : {"soapenv", "SOAP-ENV", "S"}) {
    soap::Reply reply(200,
                      answer("<FindByInventoryPathResponse xmlns=\"urn:vim25\">"
                             "<returnval type=\"VirtualMachine\">vm-20</returnval>"
                             "</FindByInventoryPathResponse>",
                             prefix),
                      "x");
    CHECK(soap::ref(soap::child(reply.response(), "returnval")) == Ref{"VirtualMachine", "vm-20"});
  }
  soap::Reply nothing(200, answer("<FindByInventoryPathResponse xmlns=\"urn:vim25\"/>"), "x");
  CHECK(soap::ref(soap::child(nothing.response(), "returnval")).empty());
}

TEST_CASE("of two type attributes the prefixed one is the type of the data") {
  pugi::xml_document document;
  REQUIRE(document.load_string(
      "<val xmlns:XMLSchema-instance=\"http://www.w3.org/2001/XMLSchema-instance\""
      " XMLSchema-instance:type=\"ManagedObjectReference\" type=\"VirtualMachineSnapshot\">"
      "snapshot-24</val>"));
  CHECK(soap::xsi_type(document.first_child()) == "ManagedObjectReference");
  CHECK(soap::ref(document.first_child()) == Ref{"VirtualMachineSnapshot", "snapshot-24"});
  REQUIRE(document.load_string("<val xmlns:x=\"y\" x:type=\"vim25:VirtualDisk\"/>"));
  CHECK(soap::xsi_type(document.first_child()) == "VirtualDisk");
}

TEST_CASE("what is no answer of a vSphere server is refused") {
  for (const char *text : {"", "<html><body>Not found</body></html>", "<a", "{}", "<Envelope/>"}) {
    CHECK_THROWS_WITH(soap::Reply(404, text, "Login at vc"), Catch::Contains("check that server="));
  }
}

TEST_CASE("numbers are checked") {
  pugi::xml_document document;
  REQUIRE(
      document.load_string("<r><a>67108864</a><b>-1</b><c>12x</c><d>9223372036854775808</d></r>"));
  pugi::xml_node r = document.first_child();
  CHECK(soap::number(r, "a") == 67108864);
  for (const char *bad : {"b", "c", "d", "absent"})
    CHECK_THROWS_AS(soap::number(r, bad), util::Error);
}

TEST_CASE("faults are told by their xsi:type, or else by the element") {
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

TEST_CASE("faults of change tracking mean what the catalogue says") {
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

TEST_CASE("a task's error is a localized method fault") {
  pugi::xml_document document;
  REQUIRE(document.load_string(
      "<val xmlns:xsi=\"i\" xsi:type=\"LocalizedMethodFault\"><fault xsi:type=\"TaskInProgress\">"
      "<task type=\"Task\">task-1</task></fault><localizedMessage>busy "
      "now</localizedMessage></val>"));
  Fault fault = parse_method_fault(document.first_child());
  CHECK(fault.kind == "TaskInProgress");
  CHECK(explain(fault, "creating a snapshot").errnum() == EBUSY);
  CHECK_THAT(explain(fault, "creating a snapshot").what(), Catch::Contains("busy now"));
  CHECK_THAT(explain({"Strange", "", "spec.x", {}}, "the call").what(),
             Catch::Contains("the call: Strange (spec.x)"));
}
