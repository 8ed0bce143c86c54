# SPDX-License-Identifier: BSD-3-Clause
"""Sessions over HTTPS."""

import os
import unittest

from unit.case import BASIC, VM, Case


class Sessions(Case):
    def test_login_and_logout(self):
        content = self.sim.call("RetrieveServiceContent", "ServiceInstance", "ServiceInstance")
        self.assertEqual(content.find("returnval/rootFolder").get("type"), "Folder")
        self.fault("NotAuthenticated", self.sim.properties, *VM, "name")
        self.assertEqual(self.sim.properties("SessionManager", "SessionManager", "currentSession"), {})
        self.fault("InvalidLogin", self.sim.login, "administrator@vsphere.local", "wrong")
        self.sim.login()
        self.assertRegex(self.sim.cookie, '^vmware_soap_session="[0-9a-f]{40}"$')
        self.assertEqual(self.sim.properties(*VM, "name")["name"].text, "web1")
        session = self.sim.properties("SessionManager", "SessionManager", "currentSession")
        self.assertEqual(session["currentSession"].findtext("userName"), "administrator@vsphere.local")
        self.sim.control("expire")
        self.fault("NotAuthenticated", self.sim.properties, *VM, "name")
        self.sim.login()
        self.sim.call("Logout", "SessionManager", "SessionManager")
        self.fault("NotAuthenticated", self.sim.properties, *VM, "name")
        self.assertEqual(self.sim.control("state")["soap"]["Login"], 3)

    def test_the_log_has_no_password(self):
        self.sim.login()
        self.get()
        self.assertEqual(self.sim.close(), 0)
        with open(os.path.join(self.directory, "vcenter.log"), encoding="utf-8") as file:
            log = file.read()
        self.assertIn("Login SessionManager -> 200", log)
        self.assertNotIn("s3cret", log)
        self.assertNotIn(BASIC["Authorization"][6:], log)
        self.assertNotIn("exception", log)


if __name__ == "__main__":
    unittest.main()
