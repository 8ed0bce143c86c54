# SPDX-License-Identifier: BSD-3-Clause
"""A migration of a machine of a plan: increments while it runs, then it is shut down, the last increment is copied, and it is
handed over.

journal      what has been done, in a file: the same command goes on from there
prediction   how long the last round would take, from the rounds so far (pure)
convergence  whether that fits, and what is said if the rounds do not get shorter (pure)
moments      the time that is given by --at
measuring    what a round took, from the events of its run
rounds       one round: a run of the machine, and what else belongs to the last one
deciding     rounds until the machine can be shut down
power        shutting the machine down, and seeing that nobody starts it
overlays     the images that are handed over: over the last restore points, which stay as they are
verification the last increment is read back and compared with its digests
definition   what the machine is, saved beside its images
handover     the command that takes the machine over
pulling      with --pull: servers of the images, which fetch the last increment themselves
cutover      all of it, in its order
abort        putting the source back
"""
