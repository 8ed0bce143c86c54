# SPDX-License-Identifier: BSD-3-Clause
"""The files of /folder over HTTPS."""

import concurrent.futures
import unittest
from urllib.parse import quote

from unit.case import BASIC, FLAT, K64, SIZE, Case
from unit.client import wait_for


class Folder(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()
        self.snapshot = self.sim.snapshot("vm-42")

    def test_writes_do_not_change_a_snapshot(self):
        with open(self.disk, "rb") as file:
            before = file.read()
        self.sim.control("write", offset=0, length=SIZE // 2, byte=0xAA)
        self.sim.control("unmap", offset=40 << 20, length=1 << 20)
        status, _, body = self.get()
        self.assertEqual((status, body == before), (200, True))
        self.sim.remove(self.snapshot)
        self.assertEqual(self.get()[0], 500)  # locked
        self.sim.snapshot("vm-42")
        self.assertEqual(self.get(Range="bytes=0-99")[2], b"\xaa" * 100)

    def test_ranges_and_sizes(self):
        status, headers, body = self.get(Range="bytes=131071-131073")
        self.assertEqual((status, headers["Content-Range"], body),
                         (206, f"bytes 131071-131073/{SIZE}", b"\0aa"))
        self.assertEqual(self.get(Range=f"bytes={SIZE - 3}-{SIZE + 10}")[2], b"\0\0\0")
        self.assertEqual(len(self.get(Range="bytes=-7")[2]), 7)
        status, headers, _ = self.get(Range=f"bytes={SIZE}-")
        self.assertEqual((status, headers["Content-Range"]), (416, f"bytes */{SIZE}"))
        status, headers, body = self.sim.request("HEAD", FLAT, headers=BASIC)
        self.assertEqual((status, headers["Content-Length"], body), (200, str(SIZE), b""))

    def get_apart(self, offset, length):
        """The status and the content of that part (bytes), by a connection of its own."""
        connection = self.sim.connect()
        connection.request("GET", FLAT, headers=BASIC | {"Range": f"bytes={offset}-{offset + length - 1}"})
        try:
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def test_several_requests_at_the_same_time(self):
        self.sim.control("write", offset=0, length=SIZE, byte=3)
        with open(self.disk, "rb") as file:
            self.assertEqual(file.read(1), b"\3")
        expected = b"\0" * K64 * 2 + b"a" * K64 * 3 + b"\0" * K64

        def read(at):
            return self.get_apart(at, K64)[1] == expected[at:at + K64]
        self.sim.control("gather", requests=6)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            self.assertEqual(list(pool.map(read, range(0, 6 * K64, K64))), [True] * 6)
        # What is sent is counted after it was sent, and then the request ends.
        wait_for(lambda: self.sim.control("state")["folder"]["at_once"] == 0)
        state = self.sim.control("state")["folder"]
        self.assertEqual((state["requests"], state["bytes"]), (6, 6 * K64))
        self.assertEqual(state["most_at_once"], 6)

    def test_what_is_held_waits_for_its_release(self):
        self.sim.control("hold", offset=K64, length=K64)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            held = pool.submit(self.get_apart, K64, 10)
            while not self.sim.control("state")["folder"]["at_once"]:
                self.assertFalse(held.done())
            for offset in 0, 2 * K64:
                self.assertEqual(self.get_apart(offset, 10)[0], 206)
            self.assertFalse(held.done())
            self.sim.control("release")
            self.assertEqual(held.result(60)[0], 206)

    def test_authentication(self):
        status, headers, _ = self.sim.request("GET", FLAT)
        self.assertEqual((status, headers["WWW-Authenticate"]), (401, 'Basic realm="VMware HTTP server"'))
        status, headers, _ = self.sim.request("HEAD", FLAT, headers=BASIC)
        self.assertEqual(status, 200)
        cookie = headers["Set-Cookie"].partition(";")[0]
        self.assertEqual(self.sim.request("HEAD", FLAT, headers={"Cookie": cookie})[0], 200)
        self.assertEqual(self.sim.request("HEAD", FLAT, headers={"Cookie": self.sim.cookie})[0], 200)
        self.sim.control("expire")
        self.assertEqual(self.sim.request("HEAD", FLAT, headers={"Cookie": cookie})[0], 401)

    def test_names_quoted_once_or_twice(self):
        twice = quote(quote("F/DC0", safe=""), safe="")
        self.assertEqual(self.get(FLAT.replace("F%2FDC0", twice))[0], 200)
        self.assertEqual(self.get(FLAT.replace("F%2FDC0", "%2FF%2FDC0"))[0], 200)
        for wrong in (FLAT.replace("F%2FDC0", "DC0"), FLAT.replace("datastore1", "other"),
                      FLAT.partition("?")[0], FLAT.replace("web1-flat", "web2-flat"),
                      FLAT.replace("-flat", "-000001-delta")):
            self.assertEqual(self.get(wrong)[0], 404, wrong)

    def test_vmdk_descriptors(self):
        text = self.get(FLAT.replace("-flat", ""))[2].decode()
        self.assertIn(f'\nRW {SIZE // 512} VMFS "web1-flat.vmdk"\n', text)
        self.assertIn('\ncreateType="vmfs"\n', text)
        text = self.get(FLAT.replace("-flat", "-000001"))[2].decode()
        self.assertIn('\nparentFileNameHint="web1.vmdk"\n', text)


if __name__ == "__main__":
    unittest.main()
