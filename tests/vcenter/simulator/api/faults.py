# SPDX-License-Identifier: BSD-3-Clause
"""The faults of the vSphere API."""


from simulator.api.values import escape, leaf, tag

CBT_KEY = "vim.hostd.vmsvc.cbt."


class Fault(Exception):
    """A fault: its xsi:type, its message, and its fields as XML."""

    def __init__(self, kind, message="", fields=""):
        super().__init__(message or kind)
        self.kind, self.message, self.fields = kind, message, fields

    def detail(self):
        """The inside of a soapenv:Fault."""
        return (leaf("faultcode", "ServerFaultCode") + leaf("faultstring", self.message) +
                tag("detail", f'<{self.kind}Fault xmlns="urn:vim25" xsi:type="{self.kind}">'
                              f'{self.fields}</{self.kind}Fault>'))

    def localized(self):
        """The inside of a LocalizedMethodFault, such as the error of a task."""
        return (tag("fault", self.fields, xsi=self.kind) +
                leaf("localizedMessage", self.message or self.kind))


def invalid_argument(name=None):
    return Fault("InvalidArgument", "A specified parameter was not correct: " + (name or ""),
                 leaf("invalidProperty", name) if name else "")


def not_found(kind, moref):
    return Fault("ManagedObjectNotFound",
                 "The object has already been deleted or has not been completely created",
                 tag("obj", escape(moref), ref=kind))


def file_fault(path, key, message=""):
    detail = tag("faultMessage", leaf("key", key) + (leaf("message", message) if message else ""))
    return Fault("FileFault", f"Error caused by file {path}", detail + leaf("file", path))
