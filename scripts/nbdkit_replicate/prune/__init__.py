# SPDX-License-Identifier: BSD-3-Clause
"""Removing restore points that are not kept.

keep      which points are kept: a plan's keep = { last, daily, weekly, monthly }
bases     what an image of the directory lies on, by whatever name
decide    what is removed, and what is merged into which image
merging   merges images, so that it can be interrupted at any instant
disk      all of this for one disk
"""
