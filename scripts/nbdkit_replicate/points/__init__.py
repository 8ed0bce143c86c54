# SPDX-License-Identifier: BSD-3-Clause
"""Restore points: images of the qcow2 plugin, found by their headers, and what each of them lies on.

naming      the names of images, from a plan's `images`
store       the images of a directory
chain       an image and those below it
used        which of them clients may have written to
next_image  which image the next run of a disk writes
"""
