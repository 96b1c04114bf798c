/* SPDX-License-Identifier: MIT */
/* Streams without names: pipes and sections under read, write, control and attributes. */
#include "regression/pal/suite.h"

#define SEEK_SET 0
#define SEEK_END 2
#define F_WRLCK 1
#define F_UNLCK 2
#define F_SEAL_SHRINK 2
#define LOCK_EX_NB 6
#define LOCK_UN 8

static int64_t control(pal_handle_t handle, uint32_t op, uint32_t *value)
{
    return PAL->stream_control(handle, op, value, sizeof *value);
}

static int64_t vectors_in(pal_handle_t handle, const struct pal_vector *vectors, uint32_t count, int64_t offset)
{
    return PAL->stream_vectors(handle, vectors, count, offset, PAL_VECTORS_READ);
}

static int pipes(void)
{
    pal_handle_t ends[2];
    char a[4], b[8];
    uint32_t value = 0;
    CHECK(PAL->object_create(PAL_OBJECT_PIPE, 0, 0, ends) == 0);
    CHECK(put(ends[1], "hello", 5) == 5);
    CHECK(control(ends[0], PAL_CTL_AVAILABLE, &value) == 0 && value == 5);
    const struct pal_vector parts[] = {{(uint64_t)a, 3}, {(uint64_t)b, 8}};
    CHECK(vectors_in(ends[0], parts, 2, -1) == 5 && !memcmp(a, "hel", 3) && !memcmp(b, "lo", 2));
    const struct pal_vector out[] = {{(uint64_t) "ab", 2}, {(uint64_t) "cde", 3}};
    CHECK(PAL->stream_vectors(ends[1], out, 2, -1, PAL_VECTORS_WRITE) == 5 && get(ends[0], b, 8) == 5 && !memcmp(b, "abcde", 5));
    CHECK(vectors_in(ends[0], parts, 2, 0) == -ESPIPE);
    CHECK(control(ends[0], PAL_CTL_PIPE_SIZE_GET, &value) == 0 && value >= 4096);
    value = 8192;
    CHECK(control(ends[0], PAL_CTL_PIPE_SIZE_SET, &value) == 0 && value >= 8192);
    CHECK(PAL->handle_close(ends[1]) == 0 && get(ends[0], b, 8) == 0);
    CHECK(PAL->handle_close(ends[0]) == 0 && get(ends[0], b, 8) == -EBADF && PAL->handle_close(ends[0]) == -EBADF);
    return 0;
}

static int pipes_teed(void)
{
    pal_handle_t from[2], to[2];
    char bytes[8];
    CHECK(PAL->object_create(PAL_OBJECT_PIPE, 0, 0, from) == 0 && PAL->object_create(PAL_OBJECT_PIPE, 0, 0, to) == 0);
    struct pal_tee tee = {.size = 3, .to = to[1]};
    CHECK(PAL->stream_control(from[0], PAL_CTL_TEE, &tee, sizeof tee) == -EAGAIN);
    CHECK(put(from[1], "hello", 5) == 5);
    CHECK(PAL->stream_control(from[0], PAL_CTL_TEE, &tee, sizeof tee) == 0 && tee.size == 3);
    CHECK(get(to[0], bytes, 8) == 3 && !memcmp(bytes, "hel", 3));
    CHECK(get(from[0], bytes, 8) == 5 && !memcmp(bytes, "hello", 5));
    tee.to = from[1];
    CHECK(PAL->stream_control(from[0], PAL_CTL_TEE, &tee, sizeof tee) == -EINVAL);
    for (int i = 0; i < 2; i++)
        CHECK(PAL->handle_close(from[i]) == 0 && PAL->handle_close(to[i]) == 0);
    CHECK(PAL->stream_control(from[0], PAL_CTL_TEE, &tee, sizeof tee) == -EBADF);
    return 0;
}

static int pipe_flags(void)
{
    pal_handle_t ends[2];
    char byte;
    uint32_t flags;
    CHECK(PAL->object_create(PAL_OBJECT_PIPE, PAL_OBJ_NONBLOCK, 0, ends) == 0);
    CHECK(get(ends[0], &byte, 1) == -EAGAIN);
    CHECK(control(ends[0], PAL_CTL_FLAGS_GET, &flags) == 0 && flags == (PAL_OPEN_READ | PAL_OPEN_NONBLOCK));
    flags = 0;
    CHECK(control(ends[1], PAL_CTL_FLAGS_SET, &flags) == 0);
    CHECK(control(ends[1], PAL_CTL_FLAGS_GET, &flags) == 0 && flags == PAL_OPEN_WRITE);
    CHECK(PAL->handle_close(ends[0]) == 0 && put(ends[1], "x", 1) == -EPIPE);
    CHECK(tcb()->interrupted == PAL_INTERRUPTED_PIPE); /* of writes that moved some bytes it is all that tells */
    tcb()->interrupted = 0;
    CHECK(PAL->handle_close(ends[1]) == 0);
    /* Packets keep their boundaries, also after flags were set. */
    CHECK(PAL->object_create(PAL_OBJECT_PIPE, PAL_OBJ_PACKET, 0, ends) == 0);
    flags = PAL_OPEN_NONBLOCK;
    CHECK(control(ends[1], PAL_CTL_FLAGS_SET, &flags) == 0);
    CHECK(put(ends[1], "a", 1) == 1 && put(ends[1], "b", 1) == 1);
    char bytes[4];
    CHECK(get(ends[0], bytes, 4) == 1 && get(ends[0], bytes, 4) == 1);
    CHECK(PAL->handle_close(ends[0]) == 0 && PAL->handle_close(ends[1]) == 0);
    return 0;
}

static int buffers_that_fault(void)
{
    pal_handle_t ends[2];
    const struct pal_vector bad = {0x1000, 8};
    CHECK(PAL->object_create(PAL_OBJECT_PIPE, 0, 0, ends) == 0);
    CHECK(PAL->stream_write(ends[1], bad.base, bad.size, -1) == -EFAULT);
    CHECK(PAL->stream_vectors(ends[1], &bad, 1, -1, PAL_VECTORS_WRITE) == -EFAULT);
    CHECK(put(ends[1], "12345678", 8) == 8);
    CHECK(PAL->stream_read(ends[0], bad.base, bad.size, -1) == -EFAULT && vectors_in(ends[0], &bad, 1, -1) == -EFAULT);
    CHECK(vectors_in(ends[0], &bad, 0, -1) == -EINVAL && vectors_in(ends[0], &bad, 1025, -1) == -EINVAL);
    CHECK(PAL->stream_list(ends[0], 0x1000, 64) < 0);
    CHECK(PAL->handle_close(ends[0]) == 0 && PAL->handle_close(ends[1]) == 0);
    return 0;
}

static int section_bytes(void)
{
    pal_handle_t section;
    char bytes[8] = "";
    struct pal_seek seek = {.offset = 2, .whence = SEEK_SET};
    CHECK(PAL->object_create(PAL_OBJECT_SECTION, 0, 100, &section) == 0);
    CHECK(put(section, "abcdef", 6) == 6);
    CHECK(PAL->stream_control(section, PAL_CTL_SEEK, &seek, sizeof seek) == 0 && seek.offset == 2);
    CHECK(get(section, bytes, 2) == 2 && !memcmp(bytes, "cd", 2));
    CHECK(PAL->stream_read(section, (uint64_t)bytes, 4, 1) == 4 && !memcmp(bytes, "bcde", 4));
    CHECK(get(section, bytes, 1) == 1 && bytes[0] == 'e'); /* its own offset did not move */
    seek = (struct pal_seek){.offset = 0, .whence = SEEK_END};
    CHECK(PAL->stream_control(section, PAL_CTL_SEEK, &seek, sizeof seek) == 0 && seek.offset == 100);
    seek = (struct pal_seek){.offset = -1, .whence = SEEK_SET};
    CHECK(PAL->stream_control(section, PAL_CTL_SEEK, &seek, sizeof seek) == -EINVAL);
    CHECK(PAL->stream_read(section, (uint64_t)bytes, 4, -2) == -EINVAL);
    CHECK(PAL->handle_close(section) == 0);
    return 0;
}

/* RFLAGS in R11 after a call with `flags`. */
static uint64_t flags_after(int64_t (*call)(pal_handle_t, uint64_t, uint64_t, int64_t), pal_handle_t handle,
                            int64_t offset, uint64_t flags)
{
    char byte = 0;
    int64_t result = (int64_t)(uintptr_t)call;
    uint64_t rdi = (uint64_t)handle, rsi = (uint64_t)&byte, rdx = 1, rcx = (uint64_t)offset;
    register uint64_t r11 __asm__("r11") = flags;
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %%r11\n\tpopfq\n\tcall *%%rax\n\t" /* past the red zone */
                     "push $0x202\n\tpopfq\n\tlea 128(%%rsp), %%rsp"
                     : "+a"(result), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+c"(rcx), "+r"(r11)
                     :
                     : "r8", "r9", "r10", "memory", "cc");
    return result == 1 ? r11 : 0;
}

#define FLAGS_OF_ARITHMETIC 0x8d5ull
#define SOME_FLAGS 0x240e97ull /* ID, AC, OF, DF, IF, SF, AF, PF, CF */
#define FEW_FLAGS 0x202ull     /* IF */
static int flags_kept(void)
{
    if (!(boot->capabilities & PAL_KEEPS_FLAGS))
        return SKIP;
    pal_handle_t section;
    CHECK(PAL->object_create(PAL_OBJECT_SECTION, 0, 100, &section) == 0);
    for (int64_t offset = -1; offset <= 0; offset++)
        for (int i = 0; i < 2; i++) {
            uint64_t flags = i ? SOME_FLAGS : FEW_FLAGS;
            CHECK(((flags_after(PAL->stream_write, section, offset, flags) ^ flags) & ~FLAGS_OF_ARITHMETIC) == 0);
            CHECK(((flags_after(PAL->stream_read, section, offset, flags) ^ flags) & ~FLAGS_OF_ARITHMETIC) == 0);
        }
    CHECK(PAL->handle_close(section) == 0);
    return 0;
}

static int attributes(void)
{
    pal_handle_t section, ends[2];
    struct pal_attributes a, b, values = {.size = 5000};
    CHECK(PAL->object_create(PAL_OBJECT_SECTION, 0, 100, &section) == 0);
    CHECK(PAL->object_create(PAL_OBJECT_PIPE, 0, 0, ends) == 0);
    CHECK(PAL->attributes_get(section, NULL, &a, NULL) == 0 && a.type == PAL_TYPE_FILE && a.size == 100);
    CHECK(PAL->attributes_set(section, NULL, &values, PAL_SET_SIZE, NULL) == 0);
    CHECK(PAL->attributes_get(section, NULL, &a, NULL) == 0 && a.size == 5000 && a.mtime > 0);
    CHECK(PAL->attributes_set(section, NULL, &values, PAL_SET_MODE, NULL) == -EPERM);
    CHECK(PAL->attributes_get(ends[0], NULL, &b, NULL) == 0 && b.type == PAL_TYPE_FIFO);
    CHECK(a.inode != b.inode);
    CHECK(PAL->attributes_set(ends[0], NULL, &values, PAL_SET_SIZE, NULL) == -EINVAL);
    CHECK(PAL->attributes_get(999, NULL, &a, NULL) == -EBADF);
    CHECK(PAL->handle_close(section) == 0 && PAL->handle_close(ends[0]) == 0 && PAL->handle_close(ends[1]) == 0);
    return 0;
}

static int controls(void)
{
    pal_handle_t section;
    uint32_t value = F_SEAL_SHRINK;
    struct pal_terminal terminal;
    struct pal_window window;
    struct pal_attributes a = {.size = 1};
    struct pal_allocate range = {.offset = 0, .size = 8192};
    CHECK(PAL->object_create(PAL_OBJECT_SECTION, PAL_OBJ_SEALABLE, 100, &section) == 0);
    int64_t allocated = PAL->stream_control(section, PAL_CTL_ALLOCATE, &range, sizeof range);
    CHECK(allocated == 0 || allocated == -EREMOTE);
    CHECK(PAL->attributes_get(section, NULL, &a, NULL) == 0 && a.size == (allocated ? 100 : 8192));
    CHECK(PAL->stream_control(section, PAL_CTL_ADVISE, &range, sizeof range) == 0);
    CHECK(control(section, PAL_CTL_SEALS_ADD, &value) == 0);
    CHECK(control(section, PAL_CTL_SEALS_GET, &value) == 0 && value == F_SEAL_SHRINK);
    a.size = 1;
    CHECK(PAL->attributes_set(section, NULL, &a, PAL_SET_SIZE, NULL) == -EPERM);
    CHECK(control(section, PAL_CTL_FLUSH, &value) == 0);
    CHECK(PAL->stream_control(section, PAL_CTL_TERMINAL_GET, &terminal, sizeof terminal) == -ENOTTY);
    CHECK(PAL->stream_control(section, PAL_CTL_WINDOW_GET, &window, sizeof window) == -ENOTTY);
    CHECK(PAL->stream_control(section, 1000, &value, sizeof value) == -EINVAL);
    CHECK(PAL->stream_control(section, PAL_CTL_SEEK, &value, 1) == -EINVAL);
    CHECK(PAL->stream_control(999, PAL_CTL_FLUSH, &value, sizeof value) == -EBADF);
    CHECK(PAL->handle_close(section) == 0);
    return 0;
}

/* Record locks between two picoprocesses. */
static int record_locks(void)
{
    pal_handle_t section;
    struct pal_lock lock = {.command = 1, .type = F_WRLCK, .whence = SEEK_SET, .start = 10, .size = 5};
    CHECK(PAL->object_create(PAL_OBJECT_SECTION, 0, 100, &section) == 0);
    CHECK(PAL->stream_control(section, PAL_CTL_LOCK, &lock, sizeof lock) == 0);
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0) {
        struct pal_lock asked = {.command = 0, .type = F_WRLCK, .start = 0, .size = 0};
        int64_t error = PAL->stream_control(section, PAL_CTL_LOCK, &asked, sizeof asked);
        PAL->process_exit(error || asked.type != F_WRLCK || asked.start != 10 || asked.size != 5 ||
                          asked.owner != boot->host_process);
    }
    CHECK(reap(child) == 0);
    lock.type = F_UNLCK;
    CHECK(PAL->stream_control(section, PAL_CTL_LOCK, &lock, sizeof lock) == 0);
    lock.command = 3;
    CHECK(PAL->stream_control(section, PAL_CTL_LOCK, &lock, sizeof lock) == -EINVAL);
    uint32_t operation = LOCK_EX_NB;
    CHECK(control(section, PAL_CTL_FLOCK, &operation) == 0);
    operation = LOCK_UN;
    CHECK(control(section, PAL_CTL_FLOCK, &operation) == 0);
    CHECK(PAL->handle_close(section) == 0);
    return 0;
}

const struct test stream_tests[] = {
    {"pipes carry bytes", pipes},
    {"tee", pipes_teed},
    {"flags of a description; the reader is gone", pipe_flags},
    {"buffers that fault give -EFAULT", buffers_that_fault},
    {"a section is a stream too", section_bytes},
    {"the caller's flags are kept", flags_kept},
    {"attributes by handle", attributes},
    {"controls", controls},
    {"record locks", record_locks},
    {NULL, NULL},
};
