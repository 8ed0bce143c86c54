# SPDX-License-Identifier: BSD-3-Clause
#
# Functions for the tests of transport=https. To be loaded after vsphere.

# through REASON: a copy of disk 2001 reads through vCenter, and the log says why.
through() {
    nbdcopy "$(uri src)" out.img
    same two.img out.img
    grep -q "is read through 127.0.0.1:[0-9]*.*$1\|$1.* it is read through 127.0.0.1" src.log
    rm out.img
    stop src
    clean
}

# black_hole: starts a server that accepts connections and sends nothing. Its port is in hole.port.
black_hole() {
    /usr/bin/python3 -c '
import os, socket, time
hole = socket.create_server(("127.0.0.1", 0))
with open("hole.new", "w") as file:
    file.write(str(hole.getsockname()[1]))
os.rename("hole.new", "hole.port")
time.sleep(600)' 3>&- &
    echo $! > hole.pid
    until_true 20 test -e hole.port
}
