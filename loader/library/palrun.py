# SPDX-License-Identifier: MIT
"""Programs are run in sandboxes of pal-run: libpalrun for Python.

    result = palrun.run(["make", "test"], options=["--rw=."], capture_output=True)
    for event in result.denied:
        print(event["access"], event["name"], event["reason"])

Policy is pal-run's options, a manifest's file or its text.  It is fixed when a sandbox starts, but for what
a callback (ask=) allows later.
"""
import contextlib
import ctypes
import errno
import json
import os
import signal as signals
import subprocess
import threading
import traceback

__all__ = ["DEVNULL", "Pool", "Result", "Sandbox", "run"]
DEVNULL = subprocess.DEVNULL
_EVENTS, _ASKS = 1, 2
_ANSWERS = {"never": 0, "once": 1, "run": 2, "always": 3, False: 0, True: 2}
_BYTES = ctypes.c_char_p
_LIST = ctypes.POINTER(_BYTES)


class _Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("pal_run", _BYTES), ("options", _LIST), ("manifest", _BYTES),
                ("manifest_text", _BYTES), ("command", _LIST), ("environ", _LIST), ("directory", _BYTES),
                ("input", ctypes.c_int), ("output", ctypes.c_int), ("error", ctypes.c_int), ("flags", ctypes.c_uint)]


class _Event(ctypes.Structure):
    _fields_ = [("kind", _BYTES), ("access", _BYTES), ("name", _BYTES), ("reason", _BYTES),
                ("value", ctypes.c_longlong), ("status", ctypes.c_int), ("lost", ctypes.c_size_t), ("json", _BYTES)]


class _Question(ctypes.Structure):
    _fields_ = [("access", _BYTES), ("name", _BYTES), ("grants", _BYTES), ("reason", _BYTES), ("json", _BYTES)]


_DECIDE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Question))


def _load():
    beside = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../libpalrun.so.0")
    library = ctypes.CDLL(os.environ.get("PALRUN_LIBRARY") or (beside if os.path.exists(beside) else "libpalrun.so.0"))
    handle = ctypes.c_void_p
    library.palrun_start.argtypes = [ctypes.POINTER(handle), ctypes.POINTER(_Options)]
    library.palrun_take.argtypes = [ctypes.POINTER(handle), _BYTES, ctypes.POINTER(_Options)]
    library.palrun_wait.argtypes = [handle, ctypes.POINTER(ctypes.c_int), ctypes.c_int]
    library.palrun_kill.argtypes = [handle, ctypes.c_int]
    library.palrun_event.argtypes = [handle, ctypes.POINTER(_Event), ctypes.c_int]
    library.palrun_ask.argtypes = [handle, _DECIDE, ctypes.c_void_p]
    library.palrun_free.argtypes = [handle]
    library.palrun_free.restype = None
    return library


_library = _load()


def _check(result):
    if result == -errno.ETIMEDOUT:
        raise TimeoutError("the sandbox still runs")
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def _text(value):
    if value is None:
        return None
    value = os.fsencode(value)
    if b"\0" in value:
        raise ValueError("an argument has a NUL byte")
    return value


def _list(values):
    if values is None:
        return None
    if isinstance(values, (str, bytes)):
        raise TypeError("a list of arguments is needed: no shell takes a line apart")
    values = [_text(value) for value in values]
    return (_BYTES * (len(values) + 1))(*values, None)


def _descriptor(stream, default):
    if stream is None:
        return default
    return -1 if stream == DEVNULL else stream if isinstance(stream, int) else stream.fileno()


def _milliseconds(timeout):
    return -1 if timeout is None else max(0, min(int(timeout * 1000), 2**31 - 1))


def _decided(ask, line):
    try:
        return _ANSWERS[ask(json.loads(line))]
    except Exception:  # whatever goes wrong is no yes
        traceback.print_exc()
        return 0


class Sandbox:
    """A sandbox that runs.  As a context manager it is ended with its block."""

    def __init__(self, command=None, *, options=(), manifest=None, manifest_text=None, env=None, cwd=None, stdin=None,
                 stdout=None, stderr=None, events=True, pal_run=None, ask=None):
        """Streams: None (one's own), DEVNULL, a file or a descriptor.  command=None: the manifest's.

        ask(question) is called in a thread of its own for what policy would refuse: a dict as docs/ask.md has it; it
        returns "once", "run" (or True), "always" or "never" (or False)."""
        environ = None if env is None else [_text(name) + b"=" + _text(value) for name, value in env.items()]
        wanted = _Options(ctypes.sizeof(_Options), _text(pal_run), _list(options), _text(manifest), _text(manifest_text),
                          _list(command), _list(environ), _text(cwd), _descriptor(stdin, 0), _descriptor(stdout, 1),
                          _descriptor(stderr, 2), (_EVENTS if events else 0) | (_ASKS if ask else 0))
        self._run = ctypes.c_void_p()
        _check(_library.palrun_start(ctypes.byref(self._run), ctypes.byref(wanted)))
        self._asker = None
        if ask:
            self._decide = _DECIDE(lambda _, question: _decided(ask, question.contents.json))
            self._asker = threading.Thread(target=_library.palrun_ask, args=(self._run, self._decide, None), daemon=True)
            self._asker.start()

    def wait(self, timeout=None):
        """The exit status as pal-run(1) has it.  TimeoutError after `timeout` seconds."""
        status = ctypes.c_int()
        _check(_library.palrun_wait(self._handle(), ctypes.byref(status), _milliseconds(timeout)))
        return status.value

    def kill(self, signal=signals.SIGKILL):
        """SIGKILL ends the sandbox; others: see pal-run(1)."""
        _check(_library.palrun_kill(self._handle(), signal))

    def event(self, timeout=None):
        """The next event as a dict (see docs/denials.md); None: there are no more."""
        event = _Event()
        if not _check(_library.palrun_event(self._handle(), ctypes.byref(event), _milliseconds(timeout))):
            return None
        return json.loads(event.json)

    def events(self):
        """Each event, until the sandbox has ended."""
        return iter(self.event, None)

    _asker = None

    def close(self):
        if self._asker and self._run:  # it returns when nothing more is asked
            with contextlib.suppress(ProcessLookupError):
                self.kill()
            self._asker.join()
        run, self._run = self._run, None
        _library.palrun_free(run)

    def _handle(self):
        if not self._run:
            raise ValueError("the sandbox is closed")
        return self._run

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class _Clone(Sandbox):
    def __init__(self, socket, arguments, *, env=None, stdin=None, stdout=None, stderr=None):
        environ = None if env is None else [_text(name) + b"=" + _text(value) for name, value in env.items()]
        wanted = _Options(ctypes.sizeof(_Options), command=_list(arguments), environ=_list(environ), input=_descriptor(stdin, 0),
                          output=_descriptor(stdout, 1), error=_descriptor(stderr, 2))
        self._run = ctypes.c_void_p()
        _check(_library.palrun_take(ctypes.byref(self._run), _text(socket), ctypes.byref(wanted)))


class Pool:
    """The clones that `pal-run serve` keeps at a socket.  Each is used once; policy is the server's."""

    def __init__(self, socket):
        self._socket = socket

    def take(self, arguments=(), **streams):
        """A clone that runs: a Sandbox without events.  env: what is changed of the server's; stdin, stdout, stderr."""
        return _Clone(self._socket, arguments, **streams)

    def run(self, arguments=(), *, capture_output=False, timeout=None, **streams):
        """Runs one to its end.  After `timeout` seconds it is killed, and TimeoutError raised."""
        return _finish(lambda: self.take(arguments, **streams), streams, capture_output, timeout, False)


class Result:
    def __init__(self, status, stdout, stderr, events):
        self.status, self.stdout, self.stderr, self.events = status, stdout, stderr, events
        self.denied = [event for event in events if event["event"] == "denied"]


def _reader(descriptor, parts):
    with os.fdopen(descriptor, "rb") as stream:
        parts.append(stream.read())


def run(command=None, *, capture_output=False, timeout=None, **policy):
    """Runs it to its end.  After `timeout` seconds it is killed, and TimeoutError raised."""
    return _finish(lambda: Sandbox(command, **policy), policy, capture_output, timeout, policy.get("events", True))


def _finish(start, streams, capture_output, timeout, has_events):
    parts, threads, writers, names = {"stdout": [], "stderr": []}, [], [], ("stdout", "stderr") if capture_output else ()
    try:
        for name in names:
            reader, writer = os.pipe()
            writers.append(writer)
            streams[name] = writer
            threads.append(threading.Thread(target=_reader, args=(reader, parts[name])))
            threads[-1].start()
        sandbox = start()
    finally:
        for writer in writers:
            os.close(writer)
    with sandbox:
        events = []
        if has_events:
            threads.append(threading.Thread(target=lambda: events.extend(sandbox.events())))
            threads[-1].start()
        try:
            status = sandbox.wait(timeout)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                sandbox.kill()
            raise
        finally:
            for thread in threads:
                thread.join()
    return Result(status, b"".join(parts["stdout"]), b"".join(parts["stderr"]), events)
