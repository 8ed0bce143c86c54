# SPDX-License-Identifier: BSD-3-Clause
"""The names of images: those that a plan gives them, with {disk} and {time}."""
import datetime
import glob
import os
import re
from collections.abc import Collection
from dataclasses import dataclass

from ..contract import DISK
from ..messages import WrongUse

TIME = "{time}"
FORMAT = "%Y%m%dT%H%M%SZ"  # of {time}, which is UTC
PARTIAL = ".partial"
AHEAD = 300.0  # seconds by which clocks may differ; free_time() takes a later second, too

_TIME_PATTERN = r"\d{8}T\d{6}Z"


def time_text(time: datetime.datetime) -> str:
    return time.astimezone(datetime.UTC).strftime(FORMAT)


def parse_time(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.strptime(text, FORMAT).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None


def free_time(moment: float, taken: Collection[str]) -> str:
    """{time} of what begins at that moment, in seconds since 1970; if that is taken, of the next second that is not."""
    time = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    while (text := time_text(time)) in taken:
        time += datetime.timedelta(seconds=1)
    return text


def is_to_come(moment: float, now: float) -> bool:
    """Of {time}, in seconds since 1970: the clock was wrong when it was given, or is wrong now."""
    return moment > now + AHEAD


@dataclass(frozen=True)
class Name:
    """What the name of an image says."""

    disk: str
    time: str


class Naming:
    """template: a path with {disk} and {time}; {time} only in its last part."""

    def __init__(self, template: str) -> None:
        self._folder, base = os.path.split(template)
        if TIME in self._folder or TIME not in base:
            raise WrongUse(f"{template}: {TIME} must be in the name of the file, and not in that of a directory: images lie "
                           "beside those that they are made over")
        if DISK not in template:
            raise WrongUse(f"{template}: several disks would have the same image: put {DISK} into it")
        self._base = base
        pattern = re.escape(base).replace(re.escape(TIME), f"(?P<time>{_TIME_PATTERN})", 1)
        pattern = pattern.replace(re.escape(TIME), "(?P=time)")
        pattern = pattern.replace(re.escape(DISK), "(?P<disk>.+)", 1).replace(re.escape(DISK), "(?P=disk)")
        self._pattern = re.compile(pattern)

    def path(self, disk: str, time: str) -> str:
        return os.path.join(self.folder(disk), self._base.replace(DISK, disk).replace(TIME, time))

    def folder(self, disk: str) -> str:
        return self._folder.replace(DISK, disk)

    def folders(self) -> list[str]:
        """Those that exist, of all disks."""
        return sorted(filter(os.path.isdir, glob.glob(glob.escape(self._folder).replace("{disk}", "*") or ".")))

    def times(self) -> set[str]:
        """{time} of all images that exist, completed or not, and restore points or not."""
        names = (self.parse(os.path.join(folder, file)) for folder in self.folders() for file in os.listdir(folder))
        return {name.time for name in names if name is not None}

    def parse(self, path: str) -> Name | None:
        """path: of an image, FILE or FILE.partial. None: it is called otherwise."""
        match = self._pattern.fullmatch(os.path.basename(path).removesuffix(PARTIAL))
        if not match:
            return None
        disk = match.groupdict().get("disk")
        if disk is None:  # it stands in the folder alone
            folder = re.escape(self._folder).replace(re.escape(DISK), "(?P<disk>[^/]+)", 1)
            found = re.fullmatch(folder.replace(re.escape(DISK), "(?P=disk)"), os.path.dirname(path))
            if not found:
                return None
            disk = found["disk"]
        return Name(disk, match["time"])
