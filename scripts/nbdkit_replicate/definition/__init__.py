# SPDX-License-Identifier: BSD-3-Clause
"""What a virtual machine is made of besides its disks' content: definition.json, and a libvirt domain made of it.

definition: the values of definition.json. guests: what the kind of the guest means. libvirt, domain_storage: the domain. All of
this is pure; vcenter/hardware makes the values.
"""
