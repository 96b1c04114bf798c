/* SPDX-License-Identifier: MIT */
/*
 * Picoprocesses: fork, the end of children, interrupts between them.
 *
 * Each has an event with a name, made by its parent, that others set to interrupt it; a thread of the PAL's waits for that and for
 * the end of children.  The first process has none until it forks: till then there is nobody.
 */
#include "pal/windows/windows.h"

#define MOST_CHILDREN 1024u
#define LOOK_AGAIN 20u /* ms: those whose end this thread does not wait for */
#define STATUS_SIGNAL 256u
#define SIGKILL 9
#define SIGSEGV 11

/* id 0: none; its handles are closed by the watcher, which may be waiting for them. */
struct child { HANDLE process, event; uint32_t id, told; };
static struct child children[MOST_CHILDREN];
static SRWLOCK lock = SRWLOCK_INIT;
static HANDLE changed; /* wakes the watcher: there is another child */
static HANDLE ended;   /* set at each child's end */

/* "Local\pal-FIRST-ID", in hexadecimal. */
static void event_name(uint32_t id, WCHAR *out)
{
    static const WCHAR prefix[] = L"Local\\pal-";
    uint64_t numbers = boot->host_process << 32 | id;
    memcpy(out, prefix, sizeof prefix);
    out += sizeof prefix / sizeof *prefix - 1;
    for (int shift = 60; shift >= 0; shift -= 4)
        *out++ = (WCHAR)"0123456789abcdef"[numbers >> shift & 15];
    *out = 0;
}

static HANDLE event_make(uint32_t id)
{
    WCHAR name[64];
    event_name(id, name);
    return CreateEventW(NULL, FALSE, FALSE, name);
}

/* ---- The watcher ------------------------------------------------------------------------------------------------- */

/* Caller holds the lock. */
static void close_gone(void)
{
    for (uint32_t i = 0; i < MOST_CHILDREN; i++) {
        if (children[i].id || !children[i].process)
            continue;
        CloseHandle(children[i].process);
        if (children[i].event)
            CloseHandle(children[i].event);
        children[i].process = NULL;
    }
}

/* Handles of children that have not ended yet, as many as one call waits for. */
static uint32_t gather(HANDLE *out, uint32_t room)
{
    uint32_t count = 0;
    AcquireSRWLockExclusive(&lock);
    close_gone();
    for (uint32_t i = 0; i < MOST_CHILDREN && count < room; i++)
        if (children[i].id && !children[i].told)
            out[count++] = children[i].process;
    ReleaseSRWLockExclusive(&lock);
    return count;
}

/* True: some have ended that nobody was told of.  Caller holds the lock. */
static int note_ends(void)
{
    int found = 0;
    for (uint32_t i = 0; i < MOST_CHILDREN; i++)
        if (children[i].id && !children[i].told && WaitForSingleObject(children[i].process, 0) == WAIT_OBJECT_0)
            found = (int)(children[i].told = 1);
    return found;
}

/* Under the lock, so that whoever waits for a child has been interrupted by its end before it learns of that. */
static void tell_ends(int asked)
{
    AcquireSRWLockExclusive(&lock);
    int some = note_ends();
    if (some)
        SetEvent(ended);
    if (some || asked)
        thread_interrupt_any();
    ReleaseSRWLockExclusive(&lock);
}

/* What was set: the process's own event is the first. */
static DWORD wait_for_all(HANDLE own_event)
{
    HANDLE handles[MAXIMUM_WAIT_OBJECTS] = {own_event, changed};
    uint32_t count = 2 + gather(handles + 2, MAXIMUM_WAIT_OBJECTS - 2);
    return WaitForMultipleObjects(count, handles, FALSE, count == MAXIMUM_WAIT_OBJECTS ? LOOK_AGAIN : INFINITE);
}

static DWORD WINAPI watch(void *own_event)
{
    for (DWORD which; (which = wait_for_all(own_event)) != WAIT_FAILED;)
        tell_ends(which == WAIT_OBJECT_0);
    die(EXIT_OWN_FAILURE, "children can't be waited for", GetLastError());
}

static int watcher_start(void)
{
    if (changed)
        return 1;
    HANDLE own = event_make(GetCurrentProcessId());
    changed = CreateEventW(NULL, FALSE, FALSE, NULL);
    ended = CreateEventW(NULL, FALSE, FALSE, NULL);
    HANDLE thread = own && changed && ended ? CreateThread(NULL, 0, watch, own, 0, NULL) : NULL;
    if (thread)
        CloseHandle(thread);
    return thread != NULL;
}

/* ---- Fork -------------------------------------------------------------------------------------------------------- */

static int child_add(const PROCESS_INFORMATION *process)
{
    AcquireSRWLockExclusive(&lock);
    struct child *found = NULL;
    for (uint32_t i = 0; i < MOST_CHILDREN && !found; i++)
        if (!children[i].process)
            found = &children[i];
    if (found)
        *found = (struct child){.process = process->hProcess, .event = event_make(process->dwProcessId), .id = process->dwProcessId};
    ReleaseSRWLockExclusive(&lock);
    SetEvent(changed);
    return found != NULL;
}

static int64_t start_child(HANDLE section, PROCESS_INFORMATION *child)
{
    WCHAR line[64];
    STARTUPINFOW start = {.cb = sizeof start};
    static WCHAR program[MAX_PATH];
    if (!program[0])
        GetModuleFileNameW(NULL, program, MAX_PATH);
    options_fork_line(line, (uint64_t)section);
    if (!CreateProcessW(program, line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &start, child))
        return -EAGAIN;
    if (memory_low_reserve(child->hProcess))
        return 0;
    TerminateProcess(child->hProcess, EXIT_OWN_FAILURE);
    CloseHandle(child->hThread);
    CloseHandle(child->hProcess);
    return -ENOMEM;
}

static int64_t finish_child(HANDLE section, int bare, const PROCESS_INFORMATION *child)
{
    int64_t error = fork_copy(section, bare);
    if (error == 0 && !child_add(child))
        error = -EAGAIN;
    if (error == 0)
        ResumeThread(child->hThread);
    else
        TerminateProcess(child->hProcess, EXIT_OWN_FAILURE);
    CloseHandle(child->hThread);
    if (error < 0)
        CloseHandle(child->hProcess);
    return error < 0 ? error : child->dwProcessId;
}

int64_t windows_process_fork(uint32_t flags)
{
    int bare = (flags & PAL_FORK_BARE) != 0;
    PROCESS_INFORMATION child;
    if (!watcher_start())
        return -EAGAIN;
    memory_hold();
    handle_hold();
    HANDLE section = fork_section(bare);
    int64_t result = section ? start_child(section, &child) : -ENOMEM;
    if (result == 0)
        result = finish_child(section, bare, &child);
    handle_let_go();
    memory_let_go();
    if (section)
        CloseHandle(section);
    return result;
}

void process_begin_forked(void)
{
    if (!watcher_start())
        die(EXIT_OWN_FAILURE, "a fork's child can't be interrupted", GetLastError());
}

/* ---- Ends -------------------------------------------------------------------------------------------------------- */

static uint64_t nanoseconds(FILETIME time)
{
    return ((uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime) * 100;
}

static int32_t status_of(DWORD code)
{
    if (code < STATUS_SIGNAL)
        return (int32_t)(code << 8);
    return code < STATUS_SIGNAL + 128 ? (int32_t)(code - STATUS_SIGNAL) : SIGSEGV; /* the host's own codes are far up */
}

/* Caller holds the lock. */
static int64_t take_end(struct child *child, struct pal_child *out)
{
    DWORD code = 0;
    FILETIME begun, gone, kernel = {0, 0}, user = {0, 0};
    GetExitCodeProcess(child->process, &code);
    GetProcessTimes(child->process, &begun, &gone, &kernel, &user);
    *out = (struct pal_child){.process = child->id, .status = status_of(code),
                              .used = {.user_ns = nanoseconds(user), .system_ns = nanoseconds(kernel)}};
    child->id = 0;
    SetEvent(changed);
    return 1;
}

static int64_t find_end(uint64_t process, struct pal_child *out)
{
    int64_t result = -ECHILD;
    AcquireSRWLockExclusive(&lock);
    for (uint32_t i = 0; i < MOST_CHILDREN && result <= 0; i++) {
        struct child *child = &children[i];
        if (!child->id || (process && child->id != process))
            continue;
        int gone = WaitForSingleObject(child->process, 0) == WAIT_OBJECT_0;
        result = gone ? take_end(child, out) : 0;
    }
    ReleaseSRWLockExclusive(&lock);
    return result;
}

int64_t windows_process_wait(uint64_t process, uint32_t how, struct pal_child *out)
{
    if (how == PAL_WAIT_LOOK)
        return -ESRCH;
    for (;;) {
        if (how != PAL_WAIT_NOHANG && current_tcb()->interrupted)
            return -EINTR;
        int64_t result = find_end(process, out);
        if (result || how == PAL_WAIT_NOHANG)
            return result;
        HANDLE both[] = {thread_of(current_tcb())->event, ended};
        WaitForMultipleObjects(2, both, FALSE, LOOK_AGAIN);
    }
}

void windows_process_exit(uint32_t status)
{
    threads_hold();
    TerminateProcess(GetCurrentProcess(), status);
    __builtin_unreachable();
}

int64_t windows_process_interrupt(uint64_t process, uint32_t kill)
{
    WCHAR name[64];
    event_name((uint32_t)process, name);
    HANDLE event = OpenEventW(EVENT_MODIFY_STATE, FALSE, name), host;
    if (!event)
        return -ESRCH; /* none of this sandbox */
    int done = kill ? 0 : SetEvent(event);
    if (kill && (host = OpenProcess(PROCESS_TERMINATE, FALSE, (DWORD)process))) {
        done = TerminateProcess(host, STATUS_SIGNAL + SIGKILL);
        CloseHandle(host);
    }
    CloseHandle(event);
    return done ? 0 : -ESRCH;
}
