// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <string>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/reply.hpp"
#include "plugins/vsphere/api/soap.hpp"

using namespace vsphere;

namespace {

constexpr soap::Limits limits{1 << 20, 1 << 12};

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
                      limits, "x");
    CHECK(soap::ref(soap::child(reply.response(), "returnval")) == Ref{"VirtualMachine", "vm-20"});
  }
  soap::Reply nothing(200, answer("<FindByInventoryPathResponse xmlns=\"urn:vim25\"/>"), limits,
                      "x");
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
    CHECK_THROWS_WITH(soap::Reply(404, text, limits, "Login at vc"),
                      Catch::Contains("check that server="));
  }
}

TEST_CASE("an answer with more tags than its method needs is refused before it is parsed") {
  std::string many;
  for (size_t i = 0; i < limits.tags; ++i) many += "<a/>";
  CHECK_THROWS_WITH(soap::Reply(200, answer(many), limits, "Login at vc"),
                    Catch::Contains("Login at vc: the answer has more than 4096 elements"));
  many.clear();
  for (size_t i = 0; i < limits.tags; ++i) many += " a=''";
  CHECK_THROWS_WITH(soap::Reply(200, answer("<a" + many + "/>"), limits, "Login at vc"),
                    Catch::Contains("the answer has more than 4096 elements"));
}

TEST_CASE("the limits of an answer are those of its method") {
  for (const char *method : {"Login", "CreateSnapshot_Task", "FindByUuid", "Logout"}) {
    CHECK(soap::limits_of(method).bytes <= 4 << 20);
  }
  // 2000 areas of a page, each with three elements.
  CHECK(soap::limits_of("QueryChangedDiskAreas").tags >= 10 * 2000 * 6);
  for (const char *method : {"Login", "QueryChangedDiskAreas", "RetrievePropertiesEx"}) {
    const soap::Limits one = soap::limits_of(method);
    CHECK(one.bytes + 2 * 64 * one.tags <= 160 << 20);
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
