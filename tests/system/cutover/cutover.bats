# SPDX-License-Identifier: BSD-3-Clause
#
# nbdkit-replicate cutover: a machine of a simulated vCenter is migrated.
load ../job

case_of_python() { /usr/bin/python3 -B "$SOURCE/tests/system/cutover/cases.py" "$@" 3>&-; }

@test "a guest with a file system that writes all the time: rounds, shutdown, the disk as it was then, handed over to libvirt" {
    case_of_python whole
}

@test "a guest that writes more than fits the downtime: noticed after three rounds, with figures; nothing is shut down" {
    case_of_python slow_to_write
}

@test "a guest that writes faster than is copied: the same" {
    case_of_python faster_than_copied
}

@test "nothing tells what has changed: each round copies whole disks, and so does the last one" {
    case_of_python nothing_tells_changes
}

@test "an image that is changed after it was written: an error, while the machine runs" {
    case_of_python damaged
}

@test "no Tools; a guest that hangs is left running, or switched off if that is allowed" {
    case_of_python hangs
}

@test "somebody starts the machine while the last increment is copied, and between two commands: an error; it begins again" {
    case_of_python started_again
}

@test "killed in the commands that it runs; commands that fail; --at; --abort at each step" {
    case_of_python steps
}

@test "--pull: read and written at once; killed while something is owed: what was written stays, the rest is fetched" {
    case_of_python pulled
}

@test "--pull: faults of the vCenter and of the command do not end the servers that a client uses" {
    case_of_python served_on
}

@test "--pull, and nothing tells what has changed since the last round: nothing is handed over; without it all is copied" {
    case_of_python nothing_tells_last
}

# CUTOVER_KILLS=40 CUTOVER_SEED=1: so many.
@test "killed at random instants and run again: the same end" {
    case_of_python kills "${CUTOVER_KILLS:-1}" "${CUTOVER_SEED:-$RANDOM}"
}
