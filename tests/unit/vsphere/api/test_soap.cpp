// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <string>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/reply.hpp"
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

TEST_CASE("an answer is parsed whatever its prefixes are") {
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

TEST_CASE("of two type attributes the one with a prefix is the type of the data") {
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

TEST_CASE("an answer that is not of vSphere is refused") {
  for (const char *text : {"", "<html><body>Not found</body></html>", "<a", "{}", "<Envelope/>"}) {
    CHECK_THROWS_WITH(soap::Reply(404, text, "Login at vc"), Catch::Contains("check that server="));
  }
}

TEST_CASE("only non-negative xsd:long values are numbers") {
  pugi::xml_document document;
  REQUIRE(
      document.load_string("<r><a>67108864</a><b>-1</b><c>12x</c><d>9223372036854775808</d></r>"));
  pugi::xml_node r = document.first_child();
  CHECK(soap::number(r, "a") == 67108864);
  for (const char *bad : {"b", "c", "d", "absent"})
    CHECK_THROWS_AS(soap::number(r, bad), util::Error);
}
