/* SPDX-License-Identifier: MIT */
/*
 * The PAL's Linux host half, as its files see each other.  Reading order: entry.S and start.c (how a picoprocess
 * begins), signal.c (upcalls), thread.c, mutex.c, memory.c, stream.c, object.c, socket.c, process.c, monitor.c, namespace.c
 * and revalidate.c (what is asked of the monitor), api.c (the table).
 *
 * Rules: no libc; nothing here waits for another thread of this picoprocess (a thread may be anywhere at a fork, so
 * there are no private locks); mutable state is only what this header names, and starts out zero (.bss).
 */
#ifndef PAL_LINUX_LINUX_H
#define PAL_LINUX_LINUX_H

#include <linux/futex.h>

#include "pal/linux/monitor.h"
#include "pal/linux/syscall.h"
#include "pal/pal.h"

#pragma GCC visibility push(hidden)

#define PAGE_UP(x) (((uint64_t)(x) + PAL_PAGE_SIZE - 1) & ~(uint64_t)(PAL_PAGE_SIZE - 1))
#define NS_PER_SECOND 1000000000ull
#define LINUX_EXIT_BROKEN 125 /* exit status when the picoprocess can't start or breaks a rule of its own */

struct host_timespec { int64_t seconds, nanoseconds; };
struct host_msghdr {
    void *name;
    uint64_t name_size; /* an int and padding */
    const struct pal_vector *vector;
    uint64_t count;
    void *control;
    uint64_t control_size;
    uint64_t flags;
};

/* ---- Addresses that the linker knows (host.ld) and labels of entry.S ------------------------------------------- */

extern char linux_text_start[], linux_text_end[]; /* the only text that may make host calls */
extern char linux_bss[], linux_bss_end[], linux_main_stack[], linux_main_stack_top[]; /* the latter: the first thread's libOS stack */
extern const char image_data[], image_data_end[];
extern char linux_blocking_begin[], linux_blocking_end[], linux_blocking_cancel[];
extern char linux_clone_child_begin[], linux_clone_child_end[];

void linux_restorer(void);
/* Calls clone; the child begins in `entry(argument)` on the block's libOS stack. */
int64_t linux_clone_thread(uint64_t flags, struct pal_tcb *tcb, uint32_t *tid, void (*entry)(void *), void *argument);
void linux_enter_image(const struct pal_api *api, const struct pal_boot *boot, void (*start)(void), uint64_t stack)
    __attribute__((noreturn));
/* rt_sigreturn with this frame: continues at its registers and signal mask. */
void linux_load_frame(void *ucontext) __attribute__((noreturn));
void linux_thread_tail(uint32_t *word, uint64_t wake) __attribute__((noreturn));

/* ---- start.c --------------------------------------------------------------------------------------------------- */

#define shared ((struct linux_shared *)PAL_SHARED_BASE)
#define image ((const struct pal_image_header *)PAL_IMAGE_BASE)

/* Before host calls of a class that a bundle may be without: see hostcalls.def. */
static inline void linux_uses(uint32_t class)
{
    if (!(__atomic_load_n(&shared->used_classes, __ATOMIC_RELAXED) & class))
        __atomic_fetch_or(&shared->used_classes, class, __ATOMIC_RELAXED);
}

/* Another run of the program may, by what this one has done. */
static inline void linux_may_use(uint32_t class)
{
    linux_uses(class << LINUX_CLASS_MAY_SHIFT);
}

void linux_start(const uint64_t *stack) __attribute__((noreturn));
/* Syscall User Dispatch is per thread, and off in each new thread and process. */
int64_t linux_arm_dispatch(void);
extern uint32_t linux_dispatch;         /* the trap is Syscall User Dispatch (else a second seccomp filter) */
extern uint32_t linux_start_generation; /* shared->generation when this sandbox began: see name.c */
extern uint64_t linux_start_cycles;     /* and the time stamp counter then */

/* Where the PAL maps for itself: the kernel's choices would lie in the guest's range. */
#define LINUX_VDSO (PAL_HOST_BASE + 0x3c000)      /* with its data below */
#define LINUX_BLOCKS (PAL_HOST_BASE + 0x200000000) /* of threads: upwards, past the segment */

/* vdso.c: functions of the host's vDSO, and where it lies.  init moves it to LINUX_VDSO, unless it lies where it may stay. */
void vdso_init(uint64_t base);
uint64_t vdso_symbol(const char *name);
extern uint64_t vdso_start, vdso_end;

/* ---- signal.c -------------------------------------------------------------------------------------------------- */

void signal_init(void);
/* A frame for linux_load_frame: all signals blocked, no alternate stack, `entry(argument)` on the present stack. */
struct ucontext;
void signal_blocked_frame(struct ucontext *frame, void (*entry)(uint32_t *, uint64_t), uint32_t *argument,
                          uint64_t argument2, uint64_t stack);

/* ---- log.c ------------------------------------------------------------------------------------------------------- */

/* One line on the log: "picoprocess: WHAT 0xA 0xB"; nothing is said of 0 values. */
void report(const char *what, uint64_t a, uint64_t b);
void die(uint32_t status, const char *what, uint64_t a, uint64_t b) __attribute__((noreturn));

/* ---- thread.c -------------------------------------------------------------------------------------------------- */

/*
 * What the host knows a thread by.  Lies at the top of the thread's alternate signal stack, not in its pal_tcb: the
 * kernel reads `robust` and clears `tid` after the libOS may have given the tcb away.
 */
struct linux_thread {
    struct robust_list_head robust;
    uint32_t tid;              /* kept by the kernel; 0 = no thread uses this block and its stack */
    int32_t timer;             /* interrupt timer's id + 1, 0 = none yet */
    struct linux_thread *next; /* among the unused */
    uint64_t stack;            /* lowest address of the alternate stack; 0 = the block is not to be used again */
    struct pal_tcb *tcb;       /* of the thread that uses it */
    struct {
        uint64_t address;
        uint32_t size, signature; /* size 0 = none */
    } sequences;               /* PAL_THREAD_SEQUENCES, as the kernel has them */
};

static inline struct pal_tcb *current_tcb(void)
{
    struct pal_tcb *tcb;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(tcb));
    return tcb;
}
/* The PAL's own words of the block. */
enum {
    HOST_THREAD,      /* struct linux_thread * */
    HOST_RETURNS_LOST /* for entry.S, on the line that it has just read: the kernel's own returns spoil the processor's
                       * prediction of ours */
};
_Static_assert(offsetof(struct pal_tcb, host[HOST_RETURNS_LOST]) == 32, "entry.S: TCB_RETURNS_LOST");
static inline struct linux_thread *thread_of(const struct pal_tcb *tcb)
{
    return (struct linux_thread *)tcb->host[HOST_THREAD];
}

/* The first thread, once signal stack sizes are known; the thread that is left after a fork. */
void thread_start_first(struct pal_tcb *tcb, uint64_t minimum_signal_stack);
void thread_after_fork(void);
void thread_begin(void); /* called by entry.S in each new thread, GS set */

int64_t linux_thread_create(struct pal_tcb *tcb, void (*entry)(void *), void *argument, pal_handle_t *out_id);
void linux_thread_exit(uint32_t *word, uint64_t wake) __attribute__((noreturn));
void linux_thread_yield(void);
int64_t linux_thread_interrupt(struct pal_tcb *tcb);
int64_t linux_thread_set(uint32_t what, uint64_t address, uint32_t size, uint32_t signature);
/* Around a fork whose child has nothing of the guest's memory. */
void sequences_pause(struct linux_thread *thread);
void sequences_resume(struct linux_thread *thread);

/* ---- mutex.c ----------------------------------------------------------------------------------------------------- */

void lock_init(struct linux_thread *thread);
int64_t linux_lock(struct pal_mutex *mutex);
void linux_unlock(struct pal_mutex *mutex);
int64_t linux_wait(uint64_t word, uint32_t expected, uint64_t deadline, uint64_t how);
int64_t linux_wake(uint64_t word, uint32_t count, uint64_t how);

/* ---- memory.c -------------------------------------------------------------------------------------------------- */

int64_t linux_memory_reserve(uint64_t address, uint64_t size);
int64_t linux_memory_release(uint64_t address, uint64_t size);
int64_t linux_memory_commit(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags);
int64_t linux_memory_decommit(uint64_t address, uint64_t size, uint32_t how);
int64_t linux_memory_protect(uint64_t address, uint64_t size, uint32_t protection);
int64_t linux_memory_map(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags, pal_handle_t handle,
                         uint64_t offset);
int64_t linux_memory_move(uint64_t source, uint64_t source_size, uint64_t target, uint64_t target_size);
int64_t linux_code_sync(uint32_t all);

/* ---- stream.c, control.c --------------------------------------------------------------------------------------- */

int64_t linux_handle_close(pal_handle_t handle);
int64_t linux_stream_read(pal_handle_t handle, uint64_t buffer, uint64_t size, int64_t offset);  /* entry.S */
int64_t linux_stream_write(pal_handle_t handle, uint64_t buffer, uint64_t size, int64_t offset); /* entry.S */
int64_t linux_stream_vectors(pal_handle_t handle, const struct pal_vector *vectors, uint32_t count, int64_t offset,
                             uint32_t direction);
int64_t linux_stream_list(pal_handle_t handle, uint64_t buffer, uint64_t size);
uint32_t stream_type(uint32_t mode);
int64_t stream_status(int64_t handle, struct pal_attributes *out); /* as fstat tells it */
int64_t stream_attributes(pal_handle_t handle, struct pal_attributes *out);
int64_t linux_stream_control(pal_handle_t handle, uint32_t op, void *argument, uint64_t size);

/* ---- object.c -------------------------------------------------------------------------------------------------- */

int64_t linux_object_create(uint32_t object, uint32_t flags, uint64_t value, pal_handle_t *out);
int64_t object_notify_add(pal_handle_t handle, void *argument); /* PAL_CTL_NOTIFY_ADD, _END */
int64_t object_notify_end(pal_handle_t handle, void *argument);
int64_t linux_poll(struct pal_poll *entries, uint32_t count, uint64_t deadline);
int64_t linux_poll_set_update(pal_handle_t set, uint32_t op, pal_handle_t handle, const struct pal_poll_event *event);
int64_t linux_poll_set_wait(pal_handle_t set, struct pal_poll_event *events, uint32_t count, uint64_t deadline);

/* ---- socket.c ---------------------------------------------------------------------------------------------------- */

int64_t linux_socket_send(pal_handle_t handle, const struct pal_message *message, uint32_t flags);
int64_t linux_socket_receive(pal_handle_t handle, struct pal_message *message, uint32_t flags);
int64_t socket_accept(pal_handle_t handle, void *argument);
int64_t socket_option(pal_handle_t handle, void *argument);
int64_t linux_socket_bind(const struct pal_socket_name *local, pal_handle_t *out, uint64_t *out_name,
                         struct pal_path_buffer *text);
int64_t linux_socket_connect(const struct pal_socket_name *local, pal_handle_t *out, struct pal_path_buffer *text);
int64_t socket_listen(pal_handle_t handle, void *argument); /* PAL_CTL_LISTEN */

/* ---- stream.c: terminals ----------------------------------------------------------------------------------------- */

int64_t terminal_create(pal_handle_t *out);
int64_t terminal_inner(uint64_t number, pal_handle_t *out);
/* what: enum monitor_terminal. */
int64_t terminal_control(pal_handle_t handle, uint32_t what, uint64_t value, uint64_t *out_value);
int64_t terminal_modes(pal_handle_t handle, const struct pal_terminal *modes);
int64_t terminal_keys(struct pal_path_buffer *out); /* size: at most */
extern struct pal_host_signals linux_host_signals; /* signal.c; pal_boot.host_signals points here */

/* ---- clock.c --------------------------------------------------------------------------------------------------- */

int64_t linux_clock_get(uint32_t clock, uint64_t *out_ns);
int64_t linux_random(uint64_t buffer, uint64_t size);
uint64_t clock_now(void); /* PAL_CLOCK_MONOTONIC */

/* ---- process.c ------------------------------------------------------------------------------------------------- */

int64_t linux_process_fork(uint32_t flags);
int64_t linux_process_wait(uint64_t process, uint32_t how, struct pal_child *out);
void linux_process_exit(uint32_t status) __attribute__((noreturn));
int64_t linux_process_interrupt(uint64_t process, uint32_t kill);
int64_t linux_handle_export(pal_handle_t handle, uint64_t *out_token);
int64_t linux_handle_import(uint64_t token, pal_handle_t *out);

/* ---- monitor.c, namespace.c -------------------------------------------------------------------------------------- */

#define MONITOR_DESCRIPTORS (1 + MONITOR_PREFETCH_MAX)
/*
 * One round trip.  `name` and `other` may be NULL; `text`, if given, receives the reply's text; `descriptors` has room
 * for MONITOR_DESCRIPTORS and holds PAL_NO_HANDLE where none came.  Returns the monitor's result.  Not interruptible.
 */
/* Is it known what path the name is?  An object that has been opened may be called otherwise by now. */
static inline int name_is_path(const struct pal_name *name)
{
    return name->size && name->path[0] == '/' && !(name->from && name->base == name->size);
}
int64_t monitor_call(struct monitor_request *request, const struct pal_name *name, const struct pal_name *other,
                     struct monitor_reply *reply, struct pal_path_buffer *text, pal_handle_t *descriptors);
/* Before what was opened is locked: the monitor has no copy of it any more, so the last close here is the last. */
int64_t monitor_settle(void);
/* Before a thread or process is made: see MONITOR_MULTIPLY. */
int64_t monitor_multiply(void);
/* One descriptor for an argument; out NULL tells the monitor that none is wanted. */
int64_t monitor_take(uint32_t op, uint64_t argument, pal_handle_t *out);

int64_t linux_stream_open(const struct pal_name *name, uint32_t flags, uint32_t mode, pal_handle_t *out,
                          struct pal_attributes *out_attributes, struct pal_path_buffer *escape);
int64_t linux_attributes_get(pal_handle_t handle, const struct pal_name *name, struct pal_attributes *out,
                             struct pal_path_buffer *escape);
int64_t linux_attributes_set(pal_handle_t handle, const struct pal_name *name, const struct pal_attributes *values,
                             uint32_t mask, struct pal_path_buffer *escape);
int64_t linux_name_change(uint32_t op, const struct pal_name *name, const struct pal_name *other, uint32_t mode,
                          struct pal_path_buffer *escape);
int64_t name_extended(pal_handle_t handle, void *argument); /* PAL_CTL_EXTENDED */
int64_t name_space(pal_handle_t handle, void *argument);    /* PAL_CTL_SPACE */
int64_t linux_name_read(const struct pal_name *name, struct pal_path_buffer *out);

/* ---- copies.c: what of a copy mount the view shows ---------------------------------------------------------------- */

struct copies { uint32_t number, class; }; /* see LINUX_COPIES_LINKED */
struct copies_mount {
    int64_t root;
    uint32_t size; /* of its path; 0: it is "/" */
};
/* Is the name what the lower layer has?  False: only the monitor knows.  Else copies_hold is to be asked once it was
 * looked up.  attributes: of what was found; NULL: it is not there, or no file. */
_Bool copies_find(const struct pal_name *name, const struct copies_mount *mount, struct copies *out);
_Bool copies_hold(const struct copies *copies, const struct pal_attributes *attributes);
/* A directory was opened by a name that copies_find found, with what it told.  False: it is the monitor's to open. */
_Bool copies_opened(const struct pal_name *name, const struct copies *above, pal_handle_t handle);
/* Of such a handle: is the directory still unchanged? */
_Bool copies_opened_holds(pal_handle_t handle);
_Bool copies_opened_held(pal_handle_t handle); /* as far as is known: the monitor is not asked */
void copies_closed(pal_handle_t handle);

/* ---- view.c: names that the kernel answers for ------------------------------------------------------------------ */

/* The next three: true where *result is the answer, else the monitor is to be asked. */
_Bool view_open(const struct pal_name *name, uint32_t flags, pal_handle_t *out, struct pal_attributes *out_attributes,
                struct pal_path_buffer *escape, int64_t *result);
_Bool view_attributes(const struct pal_name *name, struct pal_attributes *out, int64_t *result);
_Bool view_readlink(const struct pal_name *name, struct pal_path_buffer *out, int64_t *result);
/* What fstat tells, made whole: owners without an id here, what stands for a directory. */
int64_t view_handle_attributes(pal_handle_t handle, struct pal_attributes *attributes);
_Bool view_shows(const char *path, uint32_t size); /* does the kernel answer for it? */
/* Is it a directory, no symlink, that the host has there?  path: beneath the root, without a NUL. */
_Bool view_has_directory(int64_t root, const char *path, uint32_t size);
void view_note_owner(const struct pal_attributes *attributes); /* the monitor told them */
int64_t view_list(pal_handle_t handle, uint64_t buffer, uint64_t size);
/* Of a copy mount's directory, as it is now; -ENOTDIR: as the handle tells it. */
int64_t view_list_copy(pal_handle_t handle, uint64_t buffer, uint64_t size);
void view_opened(pal_handle_t handle, uint64_t flags); /* by the monitor: what MONITOR_OPEN's reply told */
void view_closed(pal_handle_t handle);
void view_ask(void); /* there is one */
void view_fork(void); /* before a fork */
void view_fork_child(void);

/* ---- revalidate.c ------------------------------------------------------------------------------------------------ */

/* Around a request with MONITOR_VALIDITY: `begin` before it is sent, `end` with the parts that the reply told. */
void revalidate_fork(void); /* before a fork */
void validity_begin(struct pal_validity *out);
void validity_end(struct pal_validity *out, uint64_t parts);
int64_t linux_name_revalidate(const struct pal_validity *validity);

/* ---- prefetch_exec.c: answers that come with a program ----------------------------------------------------------- */

/* Opens a program about to be started. */
int64_t prefetch_exec_open(const struct pal_name *name, uint32_t flags, pal_handle_t *out,
                     struct pal_attributes *out_attributes, struct pal_path_buffer *escape);
/* 1: served, with 0 or an error in *result. */
int prefetch_exec_take(const struct pal_name *name, uint32_t kind, pal_handle_t *out,
                       struct pal_attributes *out_attributes, int64_t *result);
/* What prefetch_exec_take did not serve had this result. */
void prefetch_exec_note(const struct pal_name *name, uint32_t kind, int64_t result);
/* The calling thread starts nothing any more; bare: it is a child of its, just forked, that does. */
void prefetch_exec_leave(uint32_t bare);
void prefetch_exec_fork_child(void);

/* ---- api.c, fault.c -------------------------------------------------------------------------------------------- */

extern const struct pal_api linux_api;
/* The table, wrapped so that its n-th call that can fail does. */
const struct pal_api *fault_wrap(const struct pal_api *api, uint32_t nth);

/* string.c: what compilers call by themselves. */
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#pragma GCC visibility pop
#endif
