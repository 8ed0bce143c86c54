# SPDX-License-Identifier: BSD-3-Clause
"""What is asked of a vCenter Server before anything is started: its virtual machines, and the hosts they run on.

query is a program of its own: it has a deadline, and the memory that VMware's client takes is given back. inventory starts
it, and reads its answer.
"""
