# SPDX-License-Identifier: BSD-3-Clause
"""The building, the running of the tests for each fault, and what is told of it."""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import threading
import time

import running
import tree
from faults import Wrong
from programs import Programs

# A test that takes so many times as long as without the fault, and some time more, hangs.
_HANG_FACTOR = 8
_HANG_SECONDS = 30


class Campaign:
    """One call of scripts/mutate."""

    def __init__(self, root, known, options):
        self._root, self._known, self._options = root, known, options
        self._base = os.path.join(root, "build-mutants")
        # As a plain build lies in its tree, so that ccache knows what is the same in both.
        self._build = os.path.join(self._base, "tree", "build")
        self._mutex = threading.Lock()
        self._baselines = {}  # name of a test -> future of its duration
        self._stopped = threading.Event()

    def run(self, chosen):
        os.makedirs(self._base, exist_ok=True)
        self._digest = tree.copy(self._root, os.path.join(self._base, "tree"), self._known)
        self._results = self._remembered()
        self._configure()
        self._programs = Programs(self._build)
        wrong = self._programs.unknown(chosen)
        if wrong:
            raise Wrong("\n".join(wrong))
        self._compile(chosen)
        begin = time.monotonic()
        pool = concurrent.futures.ThreadPoolExecutor(max(1, self._options.jobs))
        try:
            verdicts = list(pool.map(self._tell, chosen))
        except BaseException:
            self._stopped.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return self._summary(chosen, verdicts, time.monotonic() - begin)

    def _configure(self):
        if not os.path.exists(os.path.join(self._build, "build.ninja")):
            self._must(["meson", "setup", self._build, os.path.join(self._base, "tree"), "-Dtests=enabled"], "setup.log")
        # Rewrites meson-info where a meson.build has changed.
        self._must(["ninja", "-C", self._build, "build.ninja"], "setup.log")

    def _compile(self, chosen):
        """Builds what the faults' tests need: their programs, or all modules."""
        targets = set()
        with open(os.path.join(self._build, "meson-info", "intro-targets.json"), encoding="utf-8") as file:
            modules = {target["filename"][0] for target in json.load(file)
                       if target["type"] in ("shared module", "shared library", "executable", "custom")
                       and not target["filename"][0].startswith((self._build + "/tests/unit/", self._build + "/tests/fuzz/"))}
        for fault in chosen:
            if not fault.no_effect:
                for test in self._tests(fault):
                    targets |= {test.target} if test.target else modules
        if targets:
            print(f"# building {len(targets)} programs with {len(self._known)} faults", flush=True)
            names = [os.path.relpath(target, self._build) for target in sorted(targets)]
            self._must(["ninja", "-k", "0", "-C", self._build, *names], "ninja.log")

    def _must(self, command, log):
        path = os.path.join(self._base, log)
        with open(path, "wb") as file:
            status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode
        if status:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
            errors = [line for line in lines if "error:" in line] or lines[-20:]
            raise Wrong("\n".join([f"{command[0]} fails, see {path}", *errors]))

    def _tests(self, fault):
        """Its own, then the module's that are not among them."""
        own = [self._programs.exactly(name) for name in fault.tests]
        more = [test for name in fault.more for test in self._programs.all_of(name)]
        return own + [test for test in dict.fromkeys(more) if test not in own]

    def _baseline(self, test):
        """How long the test takes where no fault is on; Wrong if it does not pass then."""
        with self._mutex:
            future = self._baselines.get(test)
            mine = future is None
            if mine:
                future = self._baselines[test] = concurrent.futures.Future()
        if mine:
            try:
                key = self._key("baseline", test.name)
                seconds = None if self._options.again else self._results.get(key)
                if seconds is None:
                    outcome = running.run(test, stopped=self._stopped.is_set)
                    if outcome.failure or test.tap and not outcome.passed:
                        print(outcome.output.decode(errors="replace"), flush=True)
                        raise Wrong(f"without any fault {test.name} fails: {outcome.failure or 'it runs no case'}")
                    seconds = outcome.seconds
                    self._remember(key, seconds)
                future.set_result(seconds)
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def _tell(self, fault):
        try:
            verdict, detail = self._judge(fault)
        except Wrong as error:
            verdict, detail = "WRONG", str(error)
        with self._mutex:
            print(f"{verdict:9}  {fault.id}  {detail}", flush=True)
        return verdict

    def _judge(self, fault):
        """(what became of the fault, more about it)."""
        if fault.no_effect:
            return "no effect", f"({fault.no_effect})"
        key = self._key("fault", dataclasses.asdict(fault))
        with self._mutex:
            known = self._results.get(key)
        if known and not self._options.again:
            return known[0], f"{known[1]} (as before)"
        begin = time.monotonic()
        keep = os.path.join(self._base, "kept", fault.id) if self._options.keep else None
        if keep:
            shutil.rmtree(keep, ignore_errors=True)
        tests = self._tests(fault)
        answer = ("SURVIVED", f"{len(tests)} tests: {fault.what}")
        for number, test in enumerate(tests):
            limit = _HANG_FACTOR * self._baseline(test) + _HANG_SECONDS
            outcome = running.run(test, fault.id, limit, keep and os.path.join(keep, str(number)), self._stopped.is_set)
            if outcome.failure:
                program = ":".join(test.name.split(":")[: 2 if test.name.startswith("unit:") else 1])
                by = "" if number < len(fault.tests) else ", not by its own tests"
                answer = ("caught", f"by {program} {outcome.failure}{by}  {time.monotonic() - begin:.1f} s")
                break
        self._remember(key, answer)
        return answer

    # The results of earlier calls: whatever else has changed in the tree, they count no more.

    def _key(self, kind, what):
        return hashlib.sha256(json.dumps([kind, what, self._digest], sort_keys=True).encode()).hexdigest()

    def _remembered(self):
        try:
            with open(os.path.join(self._base, "results.json"), encoding="utf-8") as file:
                document = json.load(file)
            return document["results"] if document["tree"] == self._digest else {}
        except (OSError, ValueError, KeyError):
            return {}

    def _remember(self, key, value):
        path = os.path.join(self._base, "results.json")
        with self._mutex:
            self._results[key] = value
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump({"tree": self._digest, "results": self._results}, file)
            os.replace(path + ".new", path)

    @staticmethod
    def _summary(chosen, verdicts, seconds):
        """Prints the table; returns the exit status."""
        rows = {}
        for fault, verdict in zip(chosen, verdicts):
            rows.setdefault(fault.module, []).append(verdict)
        rows["all"] = verdicts
        print(f"\n{'module':10} {'caught':>6} {'of':>4} {'no effect':>10}")
        for module, told in rows.items():
            aside = told.count("no effect")
            print(f"{module:10} {told.count('caught'):6} {len(told) - aside:4} {aside:10}")
        print(f"{seconds:.0f} s")
        return 2 if "WRONG" in verdicts else 1 if "SURVIVED" in verdicts else 0
