# SPDX-License-Identifier: BSD-3-Clause
"""cases.py NAME: one case of cutover.bats."""
import json
import os
import sys

sys.dont_write_bytecode = True

from site_of_test import Site, image, journal, said, wait_until  # noqa: E402


def whole():
    """A guest with a file system that writes all the time: it converges, is shut down and handed over."""
    site = Site(size=64, data=16, file_system=True)
    site.control("writer", files="/data", disk=2000, rate=4 << 20, last=100000)
    text = site.cutover("--downtime", "60s", "--then", 'cat > facts; env | grep ^CUTOVER > variables')
    site.check_end(file_system=True)
    assert "downtime: " in text, text
    found = journal()
    assert found["step"] == "done" and found["was_on"], found
    assert found["ready"] - found["down"] <= 60, found
    with open("facts", encoding="utf-8") as file:
        facts = json.load(file)
    assert facts["hook"] == "cutover" and facts["images"][0]["image"] == os.path.abspath(image(2000)), facts
    with open("variables", encoding="utf-8") as file:
        assert f"CUTOVER_IMAGE_0={os.path.abspath(image(2000))}" in file.read()
    for name in ("web1.vmx", "web1.nvram", "definition.json"):
        assert os.path.getsize(f"images/web1/web1-cutover/{name}"), name
    # Nothing is done twice, and other runs leave the machine alone.
    assert "it was handed over at" in site.cutover("--downtime", "60s")
    assert "has been cut over" in site.command("run", "plan.toml", "--build", os.environ["BUILD"], status=1)
    status = json.loads(site.command("status", "plan.toml", "--json"))["machines"][0]
    assert status["cutover"]["step"] == "done" and abs(status["cutover"]["downtime"] - (found["ready"] - found["down"])) < 0.01
    print("PREDICTED", found["predicted"], "MEASURED", found["ready"] - found["down"])


if __name__ == "__main__":
    globals()[sys.argv[1]]()
