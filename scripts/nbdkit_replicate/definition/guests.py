# SPDX-License-Identifier: BSD-3-Clause
"""What is known of a guest by VMware's identifier of it, such as debian12_64Guest, and by what VMware Tools have told.

The identifier is what somebody has chosen when the machine was made: it may be older than the system that is in it now.
What the Tools have told of a Linux system is exact.
"""
import enum
import re

from .definition import Guest


class Family(enum.Enum):
    LINUX = "linux"
    WINDOWS = "windows"
    FREEBSD = "freebsd"
    OTHER = "other"


_LINUX = ("debian", "ubuntu", "rhel", "centos", "oracleLinux", "sles", "suse", "opensuse", "fedora", "rockylinux", "almalinux",
          "amazonlinux", "coreos", "vmwarePhoton", "asianux", "turboLinux", "mandrake", "mandriva", "nld", "oes", "redhat",
          "sjds", "other24xLinux", "other26xLinux", "other3xLinux", "other4xLinux", "other5xLinux", "other6xLinux",
          "otherLinux", "genericLinux")

# Kernels before 3.4 have no virtio-scsi, and FreeBSD has it since 10. That of otherLinux is not known.
_OLD = re.compile("other(24x|26x)?Linux|rhel[2-5]|centos(64)?Guest|oracleLinux(64)?Guest|debian[4-7](_|G)|sles(10)?(_|64|G)|"
                  "(nld|oes|suse|redhat|sjds|mandrake|mandriva|turboLinux|asianux3)", re.IGNORECASE)
_FREEBSD_VERSION = re.compile(r"freebsd(?!64)\d\d", re.IGNORECASE)

# Identifier without "Guest" and "_64" or "64" at its end -> libosinfo's identifier after http://microsoft.com/win/.
_WINDOWS = {
    "winXPHome": "xp", "winXPPro": "xp", "winNetWeb": "2k3", "winNetStandard": "2k3", "winNetEnterprise": "2k3",
    "winNetDatacenter": "2k3", "winNetBusiness": "2k3", "winLonghorn": "2k8", "winVista": "vista", "windows7": "7",
    "windows7Server": "2k8r2", "windows8": "8", "windows8Server": "2k12", "windows9": "10", "windows9Server": "2k16",
    "windows2019srv": "2k19", "windows2019srvNext": "2k22", "windows2022srvNext": "2k25", "windows11": "11"}

# Beginning of the identifier and its number -> libosinfo's identifier, with {} for the number.
_NUMBERED = {"debian": "http://debian.org/debian/{}", "rhel": "http://redhat.com/rhel/{}-unknown"}
_FIRST_RHEL = 6  # of those that the database has without a minor version

# distroName of VMware Tools, in lower case, by its beginning -> libosinfo's identifier, with {} for the version, and how many
# numbers of the version are in it.
_TOLD = {
    "debian": ("http://debian.org/debian/{}", 1), "ubuntu": ("http://ubuntu.com/ubuntu/{}", 2),
    "red hat enterprise linux": ("http://redhat.com/rhel/{}", 2), "rocky linux": ("http://rockylinux.org/rocky/{}", 1),
    "almalinux": ("http://almalinux.org/almalinux/{}", 1), "centos stream": ("http://centos.org/centos-stream/{}", 1),
    "oracle linux": ("http://oracle.com/ol/{}", 2), "fedora": ("http://fedoraproject.org/fedora/{}", 1),
    "freebsd": ("http://freebsd.org/freebsd/{}", 2)}


def family_of(guest: Guest) -> Family:
    if guest.id.startswith("win"):
        return Family.WINDOWS
    if guest.id.startswith(_LINUX):
        return Family.LINUX
    if guest.id.lower().startswith("freebsd"):
        return Family.FREEBSD
    told = guest.details.get("familyName", "").lower()
    return next((one for one in Family if one.value == told), Family.OTHER)


def has_virtio(guest: Guest) -> bool:
    """Whether its system has drivers for virtio-scsi and virtio-net, as far as that is known."""
    match family_of(guest):
        case Family.LINUX:
            return bool(guest.details) or not _OLD.match(guest.id)
        case Family.FREEBSD:
            return bool(_FREEBSD_VERSION.match(guest.id))
    return False


def libosinfo_of(guest: Guest) -> str:
    """The identifier in libosinfo's database; "" if it is not known."""
    return _told(guest) or _identified(guest.id)


def _told(guest: Guest) -> str:
    name, version = guest.details.get("distroName", "").lower(), guest.details.get("distroVersion", "")
    for beginning, (form, count) in _TOLD.items():
        numbers = re.match(r"\d+(\.\d+)*", version)
        if name.startswith(beginning) and numbers:
            return form.format(".".join(numbers[0].split(".")[:count]))
    return ""


def _identified(identifier: str) -> str:
    stem = re.sub("(_64|64)?Guest$", "", identifier)
    if stem in _WINDOWS:
        return f"http://microsoft.com/win/{_WINDOWS[stem]}"
    numbered = re.fullmatch(r"([a-z]+)(\d+)", stem)
    if numbered and numbered[1] in _NUMBERED and (numbered[1] != "rhel" or int(numbered[2]) >= _FIRST_RHEL):
        return _NUMBERED[numbered[1]].format(numbered[2])
    return ""
