# SPDX-License-Identifier: BSD-3-Clause
"""nbdkit's KEY=VALUE parameters, and what they say of an image and of a destination."""
import os
import urllib.parse


def has(parameters, name):
    return any(p.startswith(name + "=") for p in parameters)


def value(parameters, name):
    return next((p.partition("=")[2] for p in parameters if p.startswith(name + "=")), None)


def add_default(parameters, name, default):
    if not has(parameters, name):
        parameters.append(f"{name}={default}")


def image_file(parameters):
    """The image of the qcow2 plugin: file=FILE, or the first parameter without a name."""
    bare = parameters[0] if parameters and "=" not in parameters[0] else None
    return value(parameters, "file") or bare


def creates_image(plugin, parameters):
    """Whether the qcow2 plugin will create an image (or begin one anew)."""
    file = image_file(parameters)
    if plugin != "qcow2" or file is None:
        return False
    there = os.path.exists(file) or os.path.exists(file + ".partial")
    return not there or value(parameters, "create") == "always"


def destination_name(uri, options):
    """What fanout calls it: fanout-name=, or the URI without what may be secret."""
    parts = urllib.parse.urlsplit(uri)
    socket = urllib.parse.parse_qs(parts.query).get("socket")
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2], query=f"socket={socket[0]}" if socket else "")
    return value(options, "fanout-name") or plain.geturl()
