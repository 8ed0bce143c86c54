# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests of the coalesce filter: load ../../lib, then load slow_disk
#
# A disk of 64 MiB with data and holes, over a layer that takes 2 ms for each read.
prepare() { cp "$BATS_FILE_TMPDIR/disk" .; }
setup_file() {
    cd "$BATS_FILE_TMPDIR"
    random_file disk 24M
    truncate -s 40M disk
    random_file tail 16M 2
    cat tail >> disk
    truncate -s 64M disk
}
# slow ARGUMENTS...: serves the disk through the filter. The requests below it are logged in requests.
slow() {
    start server -r --filter="$COALESCE" --filter=log --filter=delay file disk rdelay=2ms \
        logfile=requests "$@"
}
# The number of reads below the filter.
reads() { grep -c ' Read id' requests; }
# reads_fewer_than N: prints how many reads there were.
reads_fewer_than() {
    echo "reads below: $(reads)"
    [ "$(reads)" -lt "$1" ]
}
