# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate cutover: a machine of a simulated vCenter is migrated.
load ../job

case_of_python() { /usr/bin/python3 -B "$SOURCE/tests/system/cutover/cases.py" "$@" 3>&-; }

@test "a guest with a file system that writes all the time: rounds, shutdown, the disk as it was then, handed over once" {
    case_of_python whole
}
