# SPDX-License-Identifier: BSD-3-Clause
"""What is asked of a vCenter Server, or of an ESXi host, besides the disks: its virtual machines and the hosts they run on,
before anything is started; and of one machine, what it is made of, and that it be shut down and started.

VMware's client for Python runs in programs of their own: they have deadlines, and the memory that it takes is given back.

- query, a program: all machines. inventory starts it, and reads its answer.
- control, a program: does what is asked of single machines, for as long as it is needed. machine starts it.
- session, lookup, hardware, snapshots, datastore_files: what the programs do by that client, or by HTTPS.
"""
