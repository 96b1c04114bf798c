# SPDX-License-Identifier: MIT
"""For gdb on a picoprocess:  gdb -x shim/gdb.py -p PID

stepi ends at one of the guest's own instructions: never in a trampoline, the libOS or the PAL.  Of a rewritten site all that
its trampoline stands for (shim/rewrite/rewrite.h) is one step; a system call that traps is one with the instruction behind it, since gdb
takes the trap's signal for one that came before the step.  The libOS's symbols are loaded, and the signals that the PAL
works with pass without a word.  Only for debugging: the guest could change all that this reads.
"""
import os

import gdb

TRAMPOLINE_LONGEST = 64  # instructions


def register(name):
    return int(gdb.parse_and_eval("(unsigned long)$" + name))


def in_trampoline(address):
    count = int(gdb.parse_and_eval("'shim/rewrite/trampoline_pool.c'::count"))
    size = 0x10000  # POOL_SIZE
    bases = (int(gdb.parse_and_eval("(unsigned long)'shim/rewrite/trampoline_pool.c'::pools[%d]->base" % i)) for i in range(count))
    return any(base <= address < base + size for base in bases)


def stop_at(address):
    """A breakpoint of nobody's, for this thread and once."""
    breakpoint = gdb.Breakpoint("*%#x" % address, internal=True, temporary=True)
    breakpoint.silent = True
    breakpoint.thread = gdb.selected_thread().num


def after_step():
    """From a trampoline through the libOS to where the guest goes on."""
    entries = [int(gdb.parse_and_eval("(unsigned long)&" + name)) for name in ("shim_syscall_call", "shim_syscall_tail")]
    for _ in range(TRAMPOLINE_LONGEST):
        at = register("pc")
        if at in entries:
            stop_at(register("r11"))  # the guest's own address, or the trampoline's tail
            gdb.execute("continue", to_string=True)
        elif in_trampoline(at):
            gdb.execute("stepi", to_string=True)
        else:
            break


gdb.execute("handle SIGSYS SIG32 nostop noprint pass", to_string=True)
# gdb finds pal-run's file, in which the picoprocess lies without symbols.  Those are beside it in the build directory, and
# take the place of pal-run's own, at whose addresses nothing is mapped here.
build = os.path.dirname(gdb.current_progspace().filename)
gdb.execute("file " + os.path.join(build, "picoprocess"), to_string=True)
gdb.execute("add-symbol-file " + os.path.join(build, "libos.elf"), to_string=True)
gdb.execute("define hookpost-stepi\npython after_step()\nend")
