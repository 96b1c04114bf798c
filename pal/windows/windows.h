/* SPDX-License-Identifier: MIT */
/*
 * What the files of the Windows host share: an index by file.  docs/windows.md tells how it works.
 *
 * C here has the host's calling convention; entry.S turns the image's calls into it, on the thread's own Win32 stack.
 */
#ifndef PAL_WINDOWS_WINDOWS_H
#define PAL_WINDOWS_WINDOWS_H

/* Offsets from GS: the block lies in TlsSlots of the TEB, of which BLOCK_SLOTS adjoining ones are taken from FIRST on. */
#define TEB_TLS_SLOTS 0x1480
#define BLOCK_FIRST_SLOT 12
#define BLOCK_SLOTS 48
#define BLOCK (TEB_TLS_SLOTS + BLOCK_FIRST_SLOT * 8)

#define TCB_LIBOS_STACK 16
#define TCB_HOST 24
#define TCB_FS_BASE 40
#define TCB_IN_HOST 56
#define BLOCK_RESUME 368
#define BLOCK_SCRATCH 376

#define THREAD_HOST_STACK 0
#define THREAD_IMAGE_RSP 8
#define THREAD_HOST_FS 16
#define THREAD_VECTORS 24
#define THREAD_VECTOR_MASK 32

#define PAL_IMAGE_CLASSIFY 0x7ff000040050 /* &image->classify */
#define STUBS 48

#ifndef __ASSEMBLER__
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0a00
#include <windows.h>

#include "pal/pal.h"

#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define ENXIO 6
#define EINTR 4
#define EIO 5
#define EBADF 9
#define ECHILD 10
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EEXIST 17
#define ENODEV 19
#define ENOTDIR 20
#define EISDIR 21
#define EINVAL 22
#define EMFILE 24
#define ENOTTY 25
#define ENOSPC 28
#define ESPIPE 29
#define EROFS 30
#define EPIPE 32
#define ENAMETOOLONG 36
#define ENOSYS 38
#define ENOTEMPTY 39
#define ELOOP 40
#define EOPNOTSUPP 95
#define ETIMEDOUT 110
#define EBUSY 16
#define EXDEV 18
#define EOWNERDEAD 130
#undef ERROR

#define EXIT_OWN_FAILURE 125
#define PAGE_UP(a) (((uint64_t)(a) + PAL_PAGE_SIZE - 1) & ~(uint64_t)(PAL_PAGE_SIZE - 1))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define NS_PER_SECOND 1000000000ull

/* What a thread has beside its block.  The first five are entry.S's. */
struct windows_thread {
    uint64_t host_stack;  /* where the host's C begins, 16-byte aligned */
    uint64_t image_rsp;   /* the image's, while a call runs */
    uint64_t host_fs;     /* 0 on Windows; Wine's C library has it */
    uint64_t vectors;     /* XSAVE area of what is live in the image while a call runs */
    uint64_t vector_mask;
    uint64_t vector_size;
    struct pal_tcb *block;  /* in the thread's TEB; NULL until it runs */
    HANDLE handle;
    HANDLE event;           /* set to wake it from a wait */
    HANDLE io;              /* of its overlapped calls */
    uint32_t id;
    void (*entry)(void *);  /* how it begins */
    void *argument;
    struct pal_tcb *template; /* what the libOS gave */
    struct windows_thread *next; /* of all, under the lock of thread.c */
};
_Static_assert(offsetof(struct windows_thread, host_stack) == THREAD_HOST_STACK, "assembly");
_Static_assert(offsetof(struct windows_thread, image_rsp) == THREAD_IMAGE_RSP, "assembly");
_Static_assert(offsetof(struct windows_thread, host_fs) == THREAD_HOST_FS, "assembly");
_Static_assert(offsetof(struct windows_thread, vectors) == THREAD_VECTORS, "assembly");
_Static_assert(offsetof(struct windows_thread, vector_mask) == THREAD_VECTOR_MASK, "assembly");
_Static_assert(offsetof(struct pal_tcb, libos_stack) == TCB_LIBOS_STACK, "assembly");
_Static_assert(offsetof(struct pal_tcb, host) == TCB_HOST, "assembly");
_Static_assert(offsetof(struct pal_tcb, fs_base) == TCB_FS_BASE, "assembly");
_Static_assert(offsetof(struct pal_tcb, in_host) == TCB_IN_HOST, "assembly");
_Static_assert(sizeof(struct pal_tcb) == BLOCK_RESUME && BLOCK_SCRATCH + 8 == BLOCK_SLOTS * 8, "assembly");

static inline struct pal_tcb *current_tcb(void)
{
    uint64_t teb;
    __asm__("mov %%gs:0x30, %0" : "=r"(teb)); /* NT_TIB.Self */
    return (struct pal_tcb *)(teb + BLOCK);
}

static inline struct windows_thread *thread_of(const struct pal_tcb *tcb)
{
    return (struct windows_thread *)tcb->host[0];
}

#define STACK_SIZE 0x20000ull /* the first thread's, and a guard as large below it */
#define STACK_TOP (PAL_HOST_BASE + 2 * STACK_SIZE)
_Static_assert(PAL_IMAGE_BASE + offsetof(struct pal_image_header, classify) == PAL_IMAGE_CLASSIFY, "assembly");
#define image ((const struct pal_image_header *)PAL_IMAGE_BASE)
#define boot ((struct pal_boot *)PAL_SHARED_BASE)

/* ---- entry.S ----------------------------------------------------------------------------------------------------- */

extern const char windows_stubs[], windows_stubs_end[];
extern const uint32_t windows_stub_size;
extern const char windows_resume[], windows_resume_live[], windows_resume_end[];
extern const char windows_copy_begin[], windows_copy_end[], windows_copy_failed[];
/* Never come back: to the image's start, or to a thread's entry, on the block's libOS stack. */
void windows_return_from_fork(void) __attribute__((noreturn));
void windows_enter_image(const void *first, const void *second, const void *entry) __attribute__((noreturn));
LONG CALLBACK windows_exception_entry(EXCEPTION_POINTERS *pointers);
/* The image's classify, which has its own convention: not to be called by the header's pointer. */
uint32_t windows_classify(struct pal_context *context, struct pal_tcb *tcb, uint32_t is_exception);
/* memcpy from or to memory of the guest: how many bytes of it could not be touched. */
uint64_t windows_copy(void *to, const void *from, uint64_t size);

/* ---- api.c ------------------------------------------------------------------------------------------------------- */

extern const void *const windows_calls[STUBS]; /* in struct pal_api's order */
void api_fill(struct pal_api *api);

/* ---- start.c ----------------------------------------------------------------------------------------------------- */

void windows_start(void) __attribute__((noreturn));
extern HANDLE segment;
void segment_map(HANDLE section);

/* Says one line on standard error, and ends the process. */
void die(uint32_t status, const char *what, uint64_t number) __attribute__((noreturn));

/* ---- options.c --------------------------------------------------------------------------------------------------- */

#define MOST_ARGUMENTS 4096
#define MOST_ENVIRONMENT 256
struct options {
    const char *root; /* a host directory that is the guest's / */
    const char *cwd;
    const char *const *argv;
    uint32_t argc, trace, stats, picoprocess; /* picoprocess: the launcher has started this one */
    const char *environment[MOST_ENVIRONMENT];
    uint32_t environment_count;
};
/* From the process's command line.  What is wrong ends it with a line. */
void options_read(struct options *options);
void options_fork_line(WCHAR *out, uint64_t section); /* the command line of a fork's child */
uint64_t options_fork_section(void);                  /* of this process, or 0: it is none */

/* ---- string.c ---------------------------------------------------------------------------------------------------- */

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int64_t error_of(DWORD error);  /* errno, negated, of what GetLastError said */
int64_t last_error(void);

/* ---- memory.c ---------------------------------------------------------------------------------------------------- */

struct windows_handle;
int64_t windows_memory_reserve(uint64_t address, uint64_t size);
int64_t windows_memory_release(uint64_t address, uint64_t size);
int64_t windows_memory_commit(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags);
int64_t windows_memory_decommit(uint64_t address, uint64_t size, uint32_t how);
int64_t windows_memory_protect(uint64_t address, uint64_t size, uint32_t protection);
int64_t windows_memory_map(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags, pal_handle_t handle,
                           uint64_t offset);
int64_t windows_memory_move(uint64_t source, uint64_t source_size, uint64_t target, uint64_t target_size);
int64_t windows_code_sync(uint32_t all);
void memory_init(struct pal_range *taken); /* the arena and what the launcher reserved are claimed; tells what the host has */
void memory_hold(void); /* nothing changes, until memory_let_go */
void memory_let_go(void);
/* What is the guest's and the arena's, or (bare) the arena alone. */
void memory_ranges(int bare, void (*tell)(uint64_t start, uint64_t end));
void memory_each_range(int bare, int64_t (*step)(const MEMORY_BASIC_INFORMATION *, DWORD));
void memory_each_stack(int64_t (*step)(const MEMORY_BASIC_INFORMATION *, DWORD)); /* the first thread's */
uint32_t memory_range_count(void);
int64_t memory_claim(uint64_t start, uint64_t end); /* in a fork's child */
int memory_low_reserve(HANDLE process); /* in a process that has not begun: where programs are linked to */
int memory_is_guest(uint64_t address); /* none of the host's, as boot->taken has it */

/* ---- view.c ------------------------------------------------------------------------------------------------------ */

#define VIEW_GRANULARITY 0x10000ull
int64_t view_commit(uint64_t address, uint64_t size, uint32_t protection);
int64_t view_file(uint64_t address, uint64_t size, uint32_t protection, const struct windows_handle *file, uint64_t offset);
int64_t view_release(uint64_t start, uint64_t end);
int64_t view_protect(uint64_t start, uint64_t end, uint32_t protection);
int64_t view_clear(uint64_t start, uint64_t end);
int view_overlaps(uint64_t start, uint64_t end);
int view_has(uint64_t address);
/* Where a word lies that processes share, whatever address it has; 0: it is in no view. */
int view_word(uint64_t address, uint64_t *offset, uint32_t *object);
void view_each_bytes(void (*tell)(uint64_t start, uint64_t end)); /* the table, for a fork's child */
void view_each_part(int64_t (*step)(const MEMORY_BASIC_INFORMATION *, DWORD));
int64_t view_restore(int bare);

/* ---- exception.c ------------------------------------------------------------------------------------------------- */

void exception_init(void);
LONG exception_handle(EXCEPTION_POINTERS *pointers);
LONG exception_in_host(EXCEPTION_POINTERS *pointers);
struct pal_context context_of(const CONTEXT *from);
void context_set(CONTEXT *to, const struct pal_context *from);
void context_enter(CONTEXT *context, uint64_t rip); /* to the image, with flags that C needs */

/* ---- thread.c ---------------------------------------------------------------------------------------------------- */

void thread_start_first(struct pal_tcb *from);
int64_t windows_thread_create(struct pal_tcb *tcb, void (*entry)(void *), void *argument, pal_handle_t *out_id);
void windows_thread_exit(uint32_t *word, uint64_t wake) __attribute__((noreturn));
void windows_thread_yield(void);
int64_t windows_thread_interrupt(struct pal_tcb *tcb);
int64_t windows_thread_set(uint32_t what, uint64_t address, uint32_t size, uint32_t signature);
void thread_interrupt_any(void);
void threads_stop(void); /* all but the caller, until threads_go_on */
void threads_go_on(void);
void threads_hold(void); /* nobody is stopped from now on */

/* ---- word.c ------------------------------------------------------------------------------------------------------ */

uint64_t word_place(void);
int64_t windows_wait(uint64_t word, uint32_t expected, uint64_t deadline, uint64_t how);
int64_t windows_wake(uint64_t word, uint32_t count, uint64_t how);
int64_t windows_lock(struct pal_mutex *mutex);
void windows_unlock(struct pal_mutex *mutex);
/* Whatever somebody may wait for in an object of memory has changed; and waiting for that: 0, -EINTR or -ETIMEDOUT. */
uint32_t word_changes(void);
void word_changed(void);
int64_t word_await_change(uint32_t seen, uint64_t deadline);
uint32_t word_object(void); /* a number for an object that words lie in, another each time */
uint64_t word_init(uint64_t at); /* the table lies there in the segment; returns its end */
/* Until the event is set, or the deadline; 0 at that. */
int wait_event(HANDLE event, uint64_t deadline);

/* ---- handle.c ---------------------------------------------------------------------------------------------------- */

/* A stream was given to us, or is a device; a pipe is one of ours. */
enum handle_kind { HANDLE_FREE, HANDLE_FILE, HANDLE_DIRECTORY, HANDLE_STREAM, HANDLE_PIPE, HANDLE_EVENT, HANDLE_POLL_SET };
struct windows_handle {
    HANDLE host;
    uint32_t kind;     /* enum handle_kind */
    uint32_t flags;    /* PAL_OPEN_READ, WRITE, APPEND, NONBLOCK */
    uint64_t position; /* of a directory: entries told */
    uint32_t restart;
    uint32_t reads;    /* that moved bytes, in this process: see poll_set.c */
};
#define MOST_HANDLES 1024
int64_t handle_add(HANDLE host, uint32_t kind, uint32_t flags);
struct windows_handle *handle_find(pal_handle_t handle); /* NULL: none */
uint32_t handle_number(const struct windows_handle *handle);
int64_t windows_handle_close(pal_handle_t handle);
void handle_hold(void); /* no handle comes or goes, until handle_let_go */
void handle_let_go(void);
void handle_copy(struct windows_handle *out); /* all MOST_HANDLES */
void handle_restore(const struct windows_handle *from);

/* ---- pass.c ------------------------------------------------------------------------------------------------------ */

uint64_t pass_init(uint64_t at); /* the table lies there in the segment; returns its end */
int64_t windows_handle_export(pal_handle_t handle, uint64_t *token);
int64_t windows_handle_import(uint64_t token, pal_handle_t *out);

/* ---- stream.c ---------------------------------------------------------------------------------------------------- */

/* Of a file, as much as there is: no interrupt ends it. */
int64_t stream_fill(const struct windows_handle *file, uint64_t address, uint64_t size, uint64_t offset);
int64_t windows_stream_read(pal_handle_t handle, uint64_t buffer, uint64_t size, int64_t offset);
int64_t windows_stream_write(pal_handle_t handle, uint64_t buffer, uint64_t size, int64_t offset);
int64_t windows_stream_vectors(pal_handle_t handle, const struct pal_vector *vectors, uint32_t count, int64_t offset,
                               uint32_t direction);
int64_t windows_stream_list(pal_handle_t handle, uint64_t buffer, uint64_t size);

/* ---- control.c --------------------------------------------------------------------------------------------------- */

int64_t windows_stream_control(pal_handle_t handle, uint32_t op, void *argument, uint64_t size);

/* ---- attributes.c ------------------------------------------------------------------------------------------------ */

int64_t windows_attributes_get(pal_handle_t handle, const struct pal_name *name, struct pal_attributes *out,
                               struct pal_path_buffer *escape);
int64_t windows_attributes_set(pal_handle_t handle, const struct pal_name *name, const struct pal_attributes *values,
                               uint32_t mask, struct pal_path_buffer *escape);
int64_t attributes_of(HANDLE host, struct pal_attributes *out);

/* ---- path.c ------------------------------------------------------------------------------------------------------ */

#define MOST_WIDE (PAL_PATH_MAX + 512)
/* A host path, ended by a zero. */
struct windows_path { WCHAR text[MOST_WIDE]; uint32_t size; uint32_t directory; /* directory: it must be one */ };
struct windows_root { WCHAR text[MAX_PATH]; uint32_t size; }; /* without a slash at the end */
int64_t path_root(const char *directory);      /* what the guest's / is */
struct windows_root path_root_get(void);
void path_root_set(const struct windows_root *from);
int64_t path_of(const struct pal_name *name, struct windows_path *out);
int64_t path_error(const struct windows_path *path); /* after a call that failed: tells ENOTDIR from ENOENT */
int64_t path_open(const struct windows_path *path, DWORD access, DWORD how, HANDLE *out);
int64_t path_guest(const struct windows_path *path, struct pal_path_buffer *out); /* as the guest calls it; its size */

/* ---- name.c ------------------------------------------------------------------------------------------------------ */

int64_t windows_stream_open(const struct pal_name *name, uint32_t flags, uint32_t mode, pal_handle_t *out,
                            struct pal_attributes *out_attributes, struct pal_path_buffer *escape);
int64_t windows_name_change(uint32_t op, const struct pal_name *name, const struct pal_name *other, uint32_t mode,
                            struct pal_path_buffer *escape);
int64_t windows_name_read(const struct pal_name *name, struct pal_path_buffer *out);
int64_t windows_name_revalidate(const struct pal_validity *validity);

/* ---- object.c ---------------------------------------------------------------------------------------------------- */

int64_t windows_object_create(uint32_t object, uint32_t flags, uint64_t value, pal_handle_t *out);
/* What is ready, and a number that grows with what a reader is to be told of. */
int16_t poll_ready(const struct windows_handle *object, uint64_t *edge);
int64_t windows_poll(struct pal_poll *entries, uint32_t count, uint64_t deadline);

/* ---- event.c ----------------------------------------------------------------------------------------------------- */

int64_t memory_object(uint32_t kind, uint32_t flags, uint64_t size, void **out); /* its handle */
void *memory_object_of(const struct windows_handle *object);                     /* NULL: no memory */
int64_t event_create(uint32_t flags, uint64_t value, pal_handle_t *out);
int64_t event_move(const struct windows_handle *handle, int write, uint64_t buffer, uint64_t size);
int16_t event_ready(const struct windows_handle *handle);
uint64_t event_edge(const struct windows_handle *handle);

/* ---- poll_set.c -------------------------------------------------------------------------------------------------- */

int64_t poll_set_create(pal_handle_t *out);
int64_t windows_poll_set_update(pal_handle_t handle, uint32_t op, pal_handle_t object, const struct pal_poll_event *event);
int64_t windows_poll_set_wait(pal_handle_t handle, struct pal_poll_event *events, uint32_t count, uint64_t deadline);
int16_t poll_set_ready(const struct windows_handle *handle);

/* ---- fork.c ------------------------------------------------------------------------------------------------------ */

HANDLE fork_section(int bare); /* with room for all that the child begins with; inherited */
int64_t fork_copy(HANDLE section, int bare);
void fork_begin(HANDLE section); /* the child: all is in place, and its only thread is in a call of process_fork */

/* ---- process.c --------------------------------------------------------------------------------------------------- */

void process_begin_forked(void);
int64_t windows_process_fork(uint32_t flags);
int64_t windows_process_wait(uint64_t process, uint32_t how, struct pal_child *out);
void windows_process_exit(uint32_t status) __attribute__((noreturn));
int64_t windows_process_interrupt(uint64_t process, uint32_t kill);

/* ---- clock.c ----------------------------------------------------------------------------------------------------- */

uint64_t clock_now(void); /* PAL_CLOCK_MONOTONIC */
int64_t windows_clock_get(uint32_t clock, uint64_t *out_ns);
int64_t windows_random(uint64_t buffer, uint64_t size);
#endif
#endif
