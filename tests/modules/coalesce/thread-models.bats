# SPDX-License-Identifier: BSD-3-Clause
#
# Layers below that are not parallel.
load ../../lib
load slow_disk

@test "reads are coalesced over a serial layer too" {
    for serialize in requests all-requests connections; do
        : > requests
        start server -r --filter="$COALESCE" --filter=log --filter=noparallel --filter=delay \
            file disk rdelay=2ms serialize=$serialize logfile=requests
        for mode in "" "--synchronous"; do
            timeout 60 nbdcopy $mode "$(uri server)" out
            same disk out
        done
        reads_fewer_than 200
        stop server
    done
}

@test "workers open connections of their own over a layer that is serial by connection" {
    start server -r --filter="$COALESCE" --filter=log --filter=noparallel --filter=delay \
        file disk rdelay=2ms serialize=requests logfile=requests coalesce-workers=3
    timeout 60 nbdcopy --synchronous "$(uri server)" out
    same disk out
    stop server
    grep ' Read id' requests | sed 's/.*connection=\([0-9]*\).*/\1/' | sort -u > connections
    [ "$(grep -c 'Connect ' requests)" -ge 4 ] || [ "$(wc -l < connections)" -ge 2 ]
}

@test "the log says that nothing is read ahead over a serial layer" {
    start server -r --filter="$COALESCE" --filter=noparallel file disk serialize=connections
    grep -q 'one request at a time, so nothing is read ahead' server.log
    stop server
    start server -r --filter="$COALESCE" --filter=noparallel file disk serialize=all-requests \
        coalesce-priority=0-1M
    grep -q 'coalesce-priority has no effect' server.log
    timeout 60 nbdcopy "$(uri server)" out
    same disk out
}
