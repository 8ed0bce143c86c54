# SPDX-License-Identifier: BSD-3-Clause
"""The implementation of nbdkit-replicate(1).

main        chooses the verb; without one, checks one run given by options, and runs it or prints it
dispatch    the verbs and their arguments
arguments   the command line
contract    everything that is known about the modules' names, parameters and messages
images      the same for the files of the qcow2 plugin
states      the same for state files
statistics  the same for statistics files
tls         which NBD servers libnbd verifies
image_marks changes what those images say of themselves
table       tables of plain text
points/     restore points: which images are complete, what they lie on, which one is written next
restore/    reading restore points, and writing them to where they are needed
prune/      removing restore points that are not kept
verbs/      what the command does with a plan: one module for each verb
plan/       plans: the values that a file in TOML comes to
many/       the machines of a plan: which are run, how many at the same time, and what is done before and after each
vcenter/    what a vCenter Server is asked, and what is done with a machine of it
definition/ what a machine is, and a libvirt domain made of that
cutover/    a migration: rounds while the machine runs, its shutdown, the last increment, the hand-over
composition/ what a run starts, as values; nothing in it starts a program
programs/   the programs of a run: nbdkit and a client, and the questions that are asked of a source
use/        serving replicas before they are whole
report/     what people and programs are told: the events of a run, records of runs
run/        a run: one task for each disk, the signals, the result

main imports run and composition; run imports report; both import programs and composition; verbs import all of them, and
many; many imports run, plan, points and vcenter, and cutover's journal; cutover imports many; use imports run, plan and points.
All of them import the modules of this directory.
"""

PROGRAM = "nbdkit-replicate"
VERSION = "0.2.0"  # that of meson.build
