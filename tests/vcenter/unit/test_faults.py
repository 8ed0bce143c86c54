# SPDX-License-Identifier: BSD-3-Clause
"""Injected faults, and requests that are refused."""

import http.client
import ssl
import time
import unittest

from unit.case import BASIC, FLAT, SIZE, VM, Case


class SoapFaults(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()

    def test_after_and_count(self):
        self.sim.control("fault", where="FindByUuid", kind="SystemError", count=2, after=1)
        find = ("FindByUuid", "SearchIndex", "SearchIndex", "<uuid>x</uuid><vmSearch>true</vmSearch>")
        self.sim.call(*find)
        self.fault("SystemError", self.sim.call, *find)
        self.fault("SystemError", self.sim.call, *find)
        self.sim.call(*find)
        self.assertEqual(self.sim.control("state")["faults"], 0)

    def test_behind_another_method(self):
        self.sim.control("fault", where="FindByUuid", kind="SystemError", after=1, behind="CreateContainerView")
        find = ("FindByUuid", "SearchIndex", "SearchIndex", "<uuid>x</uuid><vmSearch>true</vmSearch>")
        for _ in range(3):
            self.sim.call(*find)
        self.fault("ManagedObjectNotFound", self.sim.call, "CreateContainerView", "ViewManager", "ViewManager",
                   "<container type=\"Folder\">no-such</container><recursive>true</recursive>")
        self.sim.call(*find)
        self.fault("SystemError", self.sim.call, *find)

    def test_kinds_of_faults(self):
        query = (self.sim.page, "vm-42", self.sim.snapshot("vm-42"), "*", 0)
        for kind in ("NotAuthenticated", "TaskInProgress", "SystemError", "RestrictedVersion"):
            self.sim.control("fault", where="QueryChangedDiskAreas", kind=kind)
            self.fault(kind, *query)
        key = "vim.hostd.vmsvc.cbt.noEpoch"
        self.sim.control("fault", where="QueryChangedDiskAreas", kind="FileFault", key=key,
                         message="the map is corrupt")
        answer = self.fault("FileFault", *query)
        self.assertIn(f"<faultMessage><key>{key}</key><message>the map is corrupt</message>", answer)
        self.sim.control("fault", where="QueryChangedDiskAreas", kind="InvalidArgument", key="changeId")
        self.assertIn("<invalidProperty>changeId<", self.fault("InvalidArgument", *query))
        self.sim.control("fault", where="QueryChangedDiskAreas", kind="SystemError", count=9)
        self.sim.control("nofault")
        query[0](*query[1:])

    def test_a_task_fails(self):
        self.sim.control("fault", where="CreateSnapshot_Task", kind="ApplicationQuiesceFault", task=1)
        create = ("CreateSnapshot_Task", *VM, "<name>x</name>")
        self.assertEqual(self.sim.task(*create), ("error", "ApplicationQuiesceFault"))
        self.assertEqual(self.sim.control("state")["vms"]["vm-42"]["snapshots"], [])
        self.assertEqual(self.sim.task(*create)[0], "success")

    def test_an_http_status_without_soap(self):
        self.sim.control("fault", where="FindByUuid", kind="503")
        body = b"<Envelope><Body><FindByUuid/></Body></Envelope>"
        self.assertEqual([self.sim.request("POST", "/sdk", body)[0] for _ in range(2)], [503, 500])

    def test_an_answer_is_lost(self):
        self.sim.control("fault", where="CreateSnapshot_Task", kind="lost")
        with self.assertRaises((http.client.RemoteDisconnected, ssl.SSLError)):
            self.sim.call("CreateSnapshot_Task", *VM, "<name>x</name>")
        state = self.sim.control("state")
        self.assertEqual((state["soap"]["CreateSnapshot_Task"], state["vms"]["vm-42"]["taken"]), (1, 1))

    def test_a_connection_is_dropped_before_the_handshake(self):
        self.sim.control("fault", where="handshake", kind="drop", after=1)
        for dropped in (False, True, False):
            connection = self.sim.connect()
            self.addCleanup(connection.close)
            if dropped:
                with self.assertRaises(OSError):
                    connection.connect()
            else:
                connection.connect()
        self.assertEqual(self.sim.control("state")["faults"], 0)

    def test_invalid_soap_is_refused(self):
        for body in (b"", b"<a", b"<a/>"):
            status, _, answer = self.sim.request("POST", "/sdk", body)
            self.assertEqual((status, b"InvalidRequest" in answer), (500, True), body)

    def test_invalid_controls_are_refused(self):
        for path in ("nothing", "write", "write?offset=x&length=1&byte=1", "power?on=2", "unmap?offset=0",
                     f"write?offset={SIZE}&length=1&byte=1", "expire?foo=1", "reset?vm=vm-1",
                     "fault?where=folder&kind=bogus", "import?file=/nonexistent",
                     "fault?where=Logn&kind=SystemError", "fault?where=Login&kind=X&task=1",
                     "fault?where=Login&kind=%3Ca", "fault?where=handshake&kind=503",
                     "fault?where=Login&kind=504",
                     "fault?where=Login&kind=SystemError&behind=Logn",
                     "fault?where=CreateSnapshot_Task&kind=503&task=1", "mode?mode=foo"):
            status, _, answer = self.sim.request("GET", "/_test/" + path)
            self.assertEqual((status, b'"error"' in answer), (400, True), path)


class FolderFaults(Case):
    def setUp(self):
        super().setUp()
        self.sim.login()
        self.sim.snapshot("vm-42")

    def inject(self, kind, where="folder", **more):
        self.sim.control("fault", where=where, kind=kind, **more)

    def test_a_part_of_a_file(self):
        self.inject("500", where="flat", offset=1024, length=512, count=2)
        self.assertEqual(self.get(Range="bytes=0-1023")[0], 206)
        self.assertEqual(self.get(Range="bytes=1535-2047")[0], 500)
        self.assertEqual(self.get(Range="bytes=1536-2047")[0], 206)

    def test_http_statuses(self):
        for status in (401, 404, 500, 503):
            self.inject(status)
            self.assertEqual(self.get()[0], status)
            self.assertEqual(self.get(Range="bytes=0-0")[0], 206)

    def test_a_range_is_ignored(self):
        self.inject("ignore-range", where="flat")
        self.assertEqual(self.get(FLAT.replace("-flat", ""), Range="bytes=0-9")[0], 206)
        status, headers, body = self.get(Range="bytes=0-9")
        self.assertEqual((status, len(body), headers["Content-Range"]), (200, SIZE, None))

    def read_fails(self, error, received, **fault):
        self.inject(**fault)
        connection = self.sim.connect()
        self.addCleanup(connection.close)
        connection.request("GET", FLAT, headers=BASIC | {"Range": "bytes=0-99999"})
        with self.assertRaises(error) as seen:
            connection.getresponse().read()
        if received is not None:
            self.assertEqual(len(seen.exception.partial), received)

    def test_an_answer_is_too_short(self):
        self.read_fails(http.client.IncompleteRead, 50000, kind="short")

    def test_a_connection_is_reset(self):
        self.read_fails((ConnectionResetError, ssl.SSLError, http.client.IncompleteRead), None, kind="reset")

    def test_an_answer_stalls(self):
        began = time.monotonic()
        self.read_fails(http.client.RemoteDisconnected, None, kind="stall", seconds=0.3)
        self.assertGreater(time.monotonic() - began, 0.29)

    def test_a_stall_does_not_outlive_the_server(self):
        self.inject("stall", seconds=3600)
        connection = self.sim.connect()
        self.addCleanup(connection.close)
        connection.request("GET", FLAT, headers=BASIC)
        self.assertEqual(self.sim.close(), 0)


if __name__ == "__main__":
    unittest.main()
