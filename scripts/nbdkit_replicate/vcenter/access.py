# SPDX-License-Identifier: BSD-3-Clause
"""Which vCenter Server a machine of a plan is in, and what it is called there."""
import os

from ..messages import WrongUse
from ..plan.plan import Machine, Plan, VCenter

_FROM_FILE = "+"  # password=+FILE


def vcenter_of(plan: Plan, machine: Machine) -> VCenter:
    """The plan's, or one made of the parameters of the machine's own source. Raises WrongUse if none can be asked."""
    if machine.vcenter:
        return next(one for one in plan.vcenters if one.name == machine.vcenter)
    given = dict(word.partition("=")[::2] for word in machine.source.parameters)
    password = given.get("password", "")
    if "server" not in given or not password.startswith(_FROM_FILE):
        raise WrongUse(f"{machine.name}: there is no vCenter that could be asked: name it by vcenter= and [vcenter.NAME] in "
                       "the plan, or give its source server=, user= and password=+FILE")
    return VCenter("", given["server"], given.get("user", ""), os.path.abspath(password.removeprefix(_FROM_FILE)),
                   cafile=os.path.abspath(given["cafile"]) if given.get("cafile") else None, thumbprint=given.get("thumbprint"),
                   insecure=given.get("insecure") in ("yes", "true", "1", "on"))
