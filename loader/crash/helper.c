/* SPDX-License-Identifier: MIT */
/* The helper of a crash report: walks the stack in the record, and tells its frames. */
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loader/confined/confined.h"
#include "loader/crash/crash.h"

#define MEMORY_MAX (2048ull << 20) /* address space: files are mapped */
#define SECONDS_MAX 3
#define FILES_OPEN 200
#define NAME_MAX 100u
#define FRAMES_MAX 100000u

static int end;

/* libstdc++'s. */
char *__cxa_demangle(const char *mangled, char *buffer, size_t *size, int *status);

/* ---- The other side ---------------------------------------------------------------------------------------------- */

static int signal_told;

static void send_text(enum crash_op op, const char *text)
{
    static struct crash_packet packet;
    size_t size = strnlen(text, sizeof packet.text);
    packet.op = op;
    packet.signal = signal_told;
    memcpy(packet.text, text, size);
    if (sendto(end, &packet, offsetof(struct crash_packet, text) + size, MSG_NOSIGNAL, NULL, 0) < 0)
        _exit(0); /* nobody is there */
}

static void tell(enum crash_op op, const char *pattern, ...) __attribute__((format(printf, 2, 3)));
static void tell(enum crash_op op, const char *pattern, ...)
{
    char line[CRASH_LINE_MAX + 1];
    va_list arguments;
    va_start(arguments, pattern);
    vsnprintf(line, sizeof line, pattern, arguments);
    va_end(arguments);
    send_text(op, line);
}

int crash_open(const char *path)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    int32_t result;
    int file = -1;
    struct iovec part = {&result, sizeof result};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    send_text(CRASH_OPEN, path);
    if (recvmsg(end, &message, 0) != sizeof result)
        _exit(0);
    if (CMSG_FIRSTHDR(&message))
        memcpy(&file, CMSG_DATA(&control.header), sizeof file);
    return result < 0 ? result : file;
}

/* ---- What happened ----------------------------------------------------------------------------------------------- */

static const char *why(const struct record *record)
{
    static const struct { int signal, code; const char *text; } known[] = {
        {SIGSEGV, SEGV_MAPERR, "nothing is mapped at"},     {SIGSEGV, SEGV_ACCERR, "not permitted to do that at"},
        {SIGBUS, BUS_ADRERR, "no such page of the file at"}, {SIGBUS, BUS_ADRALN, "misaligned access at"},
        {SIGFPE, FPE_INTDIV, "division by zero at"},        {SIGILL, ILL_ILLOPN, "illegal instruction at"},
        {SIGILL, ILL_ILLOPC, "illegal instruction at"},     {SIGTRAP, TRAP_BRKPT, "breakpoint at"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].signal == record->signal && known[i].code == record->code)
            return known[i].text;
    return NULL;
}

static void tell_what(const struct record *record)
{
    char thread[32] = "";
    const char *text = why(record);
    if (record->thread != record->pid)
        snprintf(thread, sizeof thread, ", in thread %d", record->thread);
    if (text)
        tell(CRASH_WHAT, ": %s 0x%llx%s", text, (unsigned long long)record->address, thread);
    else if (record->has_info && record->code <= 0 && record->sender == record->pid)
        tell(CRASH_WHAT, ", which it sent itself%s", thread);
    else if (record->has_info && record->code <= 0 && record->sender)
        tell(CRASH_WHAT, ", which process %d sent%s", record->sender, thread);
    else
        tell(CRASH_WHAT, "%s", thread);
}

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "+0x1139", as addr2line takes it. */
static uint64_t in_file(Dwfl_Module *module, uint64_t at)
{
    GElf_Addr bias = 0;
    Dwarf_Addr start = 0;
    if (dwfl_module_getelf(module, &bias))
        return at - bias;
    dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
    return at - start;
}

static void line_of(Dwfl_Module *module, uint64_t at, char *out, size_t room)
{
    int number = 0;
    Dwfl_Line *line = dwfl_module_getsrc(module, at);
    const char *file = line ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) : NULL;
    out[0] = 0;
    if (file && number > 0)
        snprintf(out, room, "  %.60s:%d", base_name(file), number);
}

static void tell_frame(Dwfl *dwfl, unsigned number, uint64_t at)
{
    char line[80];
    Dwfl_Module *module = dwfl_addrmodule(dwfl, at);
    if (!module) {
        tell(CRASH_LINE, "#%-2u 0x%llx  (%s)", number, (unsigned long long)at, at >= PAL_GUEST_END ? "the library OS" : "in no file");
        return;
    }
    const char *file = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    const char *name = dwfl_module_addrname(module, at);
    bool own = file && file[0] != '/';
    char *plain = name && name[0] == '_' && name[1] == 'Z' ? __cxa_demangle(name, NULL, NULL, NULL) : NULL;
    line_of(module, at, line, sizeof line);
    const char *shown = plain ? plain : name ? name : "??";
    int size = (int)strnlen(shown, NAME_MAX);
    if (!plain)
        size = (int)strcspn(shown, "@") < size ? (int)strcspn(shown, "@") : size; /* a version */
    tell(CRASH_LINE, "#%-2u %.*s%s  (%.60s+0x%llx)", number, size, shown, line,
         own ? "the library OS" : file ? base_name(file) : "?", (unsigned long long)in_file(module, at));
    free(plain);
}

struct walk {
    Dwfl *dwfl;
    uint64_t last;
    unsigned frames, lines, same; /* same: frames that are as the last one */
    bool stepped;                 /* the first one that libdwfl sees is a caller */
};

/* A recursion is one line and a count. */
static void tell_same(struct walk *walk)
{
    if (walk->same)
        tell(CRASH_LINE, "    and %u more of the same", walk->same);
    walk->lines += walk->same > 0;
    walk->same = 0;
}

static int on_frame(Dwfl_Frame *frame, void *argument)
{
    struct walk *walk = argument;
    Dwarf_Addr at;
    bool exact;
    if (!dwfl_frame_pc(frame, &at, &exact))
        return DWARF_CB_ABORT;
    if (walk->frames && at == walk->last && walk->frames < FRAMES_MAX) {
        walk->same++;
        walk->frames++;
        return DWARF_CB_OK;
    }
    tell_same(walk);
    if (walk->lines >= CRASH_FRAMES || walk->frames >= FRAMES_MAX) {
        tell(CRASH_LINE, "... and more");
        return DWARF_CB_ABORT;
    }
    /* A caller's address is behind its call, which may be the function's last instruction. */
    tell_frame(walk->dwfl, walk->frames++, exact && !walk->stepped ? at : at - 1);
    walk->stepped = false;
    walk->lines++;
    walk->last = at;
    return DWARF_CB_OK;
}

static pid_t next_thread(Dwfl *dwfl, void *record, void **thread)
{
    (void)dwfl;
    if (*thread)
        return 0;
    *thread = record;
    return 1;
}

static bool memory_read(Dwfl *dwfl, Dwarf_Addr at, Dwarf_Word *result, void *record)
{
    (void)dwfl;
    return record_memory(record, at, result, sizeof *result) == sizeof *result;
}

/* From struct user_regs_struct's order to DWARF's, of the psABI. */
static bool set_registers(Dwfl_Thread *thread, void *argument)
{
    static const int order[] = {10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16};
    const struct record *record = argument;
    Dwarf_Word values[17];
    for (size_t i = 0; i < 17; i++)
        values[i] = record->registers[order[i]];
    return dwfl_thread_state_registers(thread, 0, 17, values);
}

/* A call of what is no code has left where it came from on the stack. */
static void step_out(struct walk *walk, struct record *record)
{
    uint64_t *at = &record->registers[16], *stack = &record->registers[19], caller;
    if (dwfl_addrmodule(walk->dwfl, *at) || record_memory(record, *stack, &caller, sizeof caller) != sizeof caller ||
        !dwfl_addrmodule(walk->dwfl, caller))
        return;
    tell_frame(walk->dwfl, walk->frames++, *at);
    walk->lines = 1;
    walk->stepped = true;
    *at = caller;
    *stack += sizeof caller;
}

static void walk_stack(struct record *record)
{
    static const Dwfl_Thread_Callbacks callbacks = {
        .next_thread = next_thread, .memory_read = memory_read, .set_initial_registers = set_registers};
    static Elf64_Ehdr machine = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT}, .e_type = ET_CORE,
                                 .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_ehsize = sizeof machine};
    elf_version(EV_CURRENT);
    struct walk walk = {.dwfl = modules_begin(record)};
    Elf *elf = elf_memory((char *)&machine, sizeof machine);
    if (walk.dwfl)
        step_out(&walk, record);
    if (walk.dwfl && elf && dwfl_attach_state(walk.dwfl, elf, 1, &callbacks, record))
        dwfl_getthread_frames(walk.dwfl, 1, on_frame, &walk);
    tell_same(&walk);
    if (!walk.frames)
        tell(CRASH_LINE, "#0  0x%llx", (unsigned long long)record->registers[16]);
}

void crash_help(int socket, int file)
{
    static struct record record;
    const struct confinement walls = {.memory = MEMORY_MAX, .seconds = SECONDS_MAX, .files = FILES_OPEN, .maps_files = true};
    end = socket;
    confined_keep("pal-crash", &end, &file);
    confined_begin(&walls);
    if (record_read(&record, file)) {
        signal_told = record.signal;
        tell_what(&record);
        walk_stack(&record);
    }
    _exit(0);
}
