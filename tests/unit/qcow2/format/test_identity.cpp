// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <utility>

#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/lifecycle/image_layout.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

Header example(uint32_t cluster_bits, const std::string &backing) {
  Header h;
  h.cluster_bits = cluster_bits;
  h.size = 1 << 20;
  lay_out(h);
  h.backing_file = backing;
  if (!backing.empty()) h.backing_format = "qcow2";
  h.identity = Identity{.uuid = random_uuid(), .parent = random_uuid(), .label = "web1-mon.qcow2"};
  return h;
}

Header again(const Header &h) {
  return decode(encode(h), initial_clusters(h) << h.cluster_bits, "x");
}

// The system's program, as it is for users.
int qemu_img(const std::string &command) {
  return std::system(("qemu-img " + command + " > /dev/null").c_str());
}

std::string uuid_in(const std::string &path) {
  return reopen(path)->uuids().front();
}

}  // namespace

TEST_CASE("the identity is in the header, beside the name of a backing file") {
  for (const std::string backing : {"", "base.qcow2"}) {
    for (uint32_t bits : {9u, 16u}) {
      Header h = example(bits, backing);
      Header back = again(h);
      CHECK(back.identity == h.identity);
      CHECK(back.backing_file == backing);
    }
  }
}

TEST_CASE("the label, and then the room for the checkpoint, give way to a long backing name") {
  // Header, format, identity without text, end marker.
  size_t room = 512 - 112 - 16 - 56 - 8;
  Header h = example(9, std::string(room - Identity::max_checkpoint - 10, 'b'));
  CHECK(again(h).identity->label == "web1-mon");
  CHECK(again(h).identity->uuid == h.identity->uuid);
  CHECK(again(h).identity_length == Identity::least + 8 + Identity::max_checkpoint);
  h.backing_file = std::string(room - 20, 'b');
  CHECK(again(h).identity->label.empty());
  CHECK(again(h).identity_length == Identity::least + 16);
  h.backing_file = std::string(room, 'b');
  CHECK(again(h).identity->label.empty());
  CHECK(again(h).backing_file == h.backing_file);
  h.backing_file += 'b';
  CHECK_THROWS_WITH(encode(h), Catch::Contains("too long"));
}

TEST_CASE("what an image says of itself is cut to the room for it") {
  Identity identity = *example(16, "").identity;
  identity.state = Completeness::complete;
  identity.checkpoint = "52 1d 02 c0/17";
  identity.completed = 1764000000;
  CHECK(decode_identity(encode(identity, Identity::least + 64)) == identity);
  CHECK_FALSE(decode_identity(encode(identity, Identity::least + 64))->cut);
  Identity cut = *decode_identity(encode(identity, Identity::least + 16));
  CHECK(cut.checkpoint == "52");
  CHECK(cut.cut);
  CHECK(cut.label == identity.label);
  identity.label = std::string(200, 'l');
  identity.checkpoint = std::string(400, 'c');
  cut = *decode_identity(encode(identity, 1000));
  CHECK(cut.label.size() == Identity::max_label);
  CHECK(cut.checkpoint == std::string(Identity::max_checkpoint, 'c'));
  CHECK(cut.cut);
  CHECK(encode(identity, Identity::least).size() == Identity::least);
}

TEST_CASE("what is not an identity is ignored") {
  std::vector<std::byte> data = encode(*example(16, "").identity, Identity::least + 24);
  CHECK(decode_identity(data));
  CHECK_FALSE(decode_identity(std::span(data).first(47)));
  for (size_t at : {32u, 33u, 34u}) {
    std::byte before = std::exchange(data[at], std::byte{25});
    CHECK_FALSE(decode_identity(data));
    data[at] = before;
  }
  std::fill_n(data.begin(), 16, std::byte{0});
  CHECK_FALSE(decode_identity(data));
}

TEST_CASE("a UUID as text") {
  Uuid uuid = random_uuid();
  CHECK(uuid != random_uuid());
  CHECK(to_text(uuid).size() == 36);
  CHECK(uuid_from(to_text(uuid)) == uuid);
  CHECK(uuid_from("") == Uuid{});
  CHECK(uuid_from(std::string(36, 'x')) == Uuid{});
}

TEST_CASE("an image and its chain say which they are, also after QEMU has changed their headers") {
  Directory directory;
  uint64_t cluster_size = GENERATE(512u, 65536u);
  const std::string base = directory.file("base"), over = directory.file("over");
  create(base, 1 << 20, cluster_size)->finalise();
  create(over, 1 << 20, cluster_size, base, "qcow2")->finalise();
  const std::string base_id = uuid_in(base), over_id = uuid_in(over);
  CHECK(base_id != over_id);
  CHECK(reopen(over)->uuids() == std::vector{over_id, base_id});
  REQUIRE(qemu_img("amend -f qcow2 -o lazy_refcounts=on " + over) == 0);
  REQUIRE(qemu_img("rebase -u -f qcow2 -F qcow2 -b base " + over) == 0);
  REQUIRE(qemu_img("resize -q " + over + " 2M") == 0);
  CHECK(reopen(over)->uuids() == std::vector{over_id, base_id});
  {
    auto image = reopen(over);
    image->write(random_bytes(100000, 1), 5000);
    image->finalise();
  }
  REQUIRE(qemu_img("commit -q -d -f qcow2 " + over) == 0);
  CHECK(uuid_in(base) == base_id);
  CHECK(check(base) == 0);
  CHECK(check(over) == 0);

  // An image of another program has none, one over it has.
  REQUIRE(qemu_img("create -q -f qcow2 " + directory.file("foreign") + " 1M") == 0);
  CHECK(uuid_in(directory.file("foreign")).empty());
  create(directory.file("top"), 1 << 20, cluster_size, directory.file("foreign"), "qcow2");
  CHECK(reopen(directory.file("top"))->uuids().size() == 2);
  CHECK(reopen(directory.file("top"))->uuids().back().empty());
}

TEST_CASE("a new image is readable for its owner alone") {
  Directory directory;
  const std::string path = directory.file("a");
  create(path, 1 << 20, 65536);
  auto mode = std::filesystem::status(path).permissions();
  CHECK((mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) ==
        std::filesystem::perms::none);
}
