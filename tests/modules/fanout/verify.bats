# SPDX-License-Identifier: BSD-3-Clause
#
# fanout-verify.
load ../../lib
load fanout

@test "fanout-verify: a block that differs is counted, logged and copied again" {
    random_file base.raw 8M
    truncate -s 8M a.raw
    start a file a.raw
    fanout f memory 8M fanout-verify=100 fanout-dest="$(uri a)" fanout-name=a fanout-stats=stats.prom
    python '
data = open("base.raw", "rb").read()
h = nbd.NBD(); h.connect_uri(sys.argv[1])
h.pwrite(data, 0)
with open("a.raw", "r+b") as f:
    f.seek(3000000)
    f.write(b"rotten")
' "$(uri f)"
    stop f
    same base.raw a.raw
    grep 'error: a: 1 blocks of 65536 bytes that were read back differ from what was written' f.log
    [ "$(metric stats.prom verify_mismatches_total a)" -eq 1 ]
    fanout f file base.raw fanout-verify=100 fanout-dest="$(uri a)" fanout-name=a
    python 'h = nbd.NBD(); h.connect_uri(sys.argv[1]); h.pwrite(h.pread(512, 0), 0)' "$(uri f)"
    stop f
    said 'a: 100% of the blocks were read back: all are equal'
}
