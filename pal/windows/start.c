/* SPDX-License-Identifier: MIT */
/*
 * From the command line to the libOS.  The program starts itself a second time, and takes the place that programs are linked to
 * before anything runs there; the second one puts image, arena and segment where pal.h says, and enters the image.
 */
#include "pal/windows/windows.h"

#define SEGMENT_SIZE (64ull << 20)
#define BOOT_ROOM 0x100000ull
#define VIEWS_START 0x100000000000ull /* far from where anything else goes */
#define VIEWS_END 0x200000000000ull

extern const char image_text[], image_text_end[], image_data[], image_data_end[];

void die(uint32_t status, const char *what, uint64_t number)
{
    static const char name[] = "picoprocess: ", hexadecimal[] = ": 0x";
    char line[512], digits[24];
    uint32_t used = sizeof name - 1, count = 0;
    memcpy(line, name, used);
    for (; *what && used < sizeof line - sizeof digits - 4; what++)
        line[used++] = *what;
    for (; number; number /= 16)
        digits[count++] = "0123456789abcdef"[number % 16];
    if (count) {
        memcpy(line + used, hexadecimal, sizeof hexadecimal - 1);
        used += sizeof hexadecimal - 1;
    }
    while (count)
        line[used++] = digits[--count];
    line[used++] = '\n';
    DWORD written;
    WriteFile(GetStdHandle(STD_ERROR_HANDLE), line, used, &written, NULL);
    TerminateProcess(GetCurrentProcess(), status);
    __builtin_unreachable();
}

/* ---- The launcher ------------------------------------------------------------------------------------------------ */

/* Its own command line with a word behind the program's name. */
static void command_line(WCHAR *out, uint32_t room)
{
    static const WCHAR word[] = L" --picoprocess ";
    const WCHAR *from = GetCommandLineW();
    uint32_t used = 0;
    int quoted = 0;
    for (; *from && (quoted || *from != ' '); from++) {
        quoted ^= *from == '"';
        out[used++] = *from;
    }
    memcpy(out + used, word, sizeof word - sizeof *word);
    used += sizeof word / sizeof *word - 1;
    do {
        if (used == room)
            die(EXIT_OWN_FAILURE, "the command line is too long", 0);
        out[used++] = *from;
    } while (*from++);
}

/* All that comes from the process ends with the launcher, however that ends: the job is closed then. */
static int hold_together(HANDLE process)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE};
    HANDLE job = CreateJobObjectW(NULL, NULL);
    return job && SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits) &&
           AssignProcessToJobObject(job, process);
}

static void launch(void)
{
    static WCHAR line[0x8000], program[MAX_PATH];
    STARTUPINFOW start = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION child;
    DWORD status = EXIT_OWN_FAILURE;
    start.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    start.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    command_line(line, sizeof line / sizeof *line);
    GetModuleFileNameW(NULL, program, MAX_PATH);
    if (!CreateProcessW(program, line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &start, &child))
        die(EXIT_OWN_FAILURE, "can't start a picoprocess", GetLastError());
    if (!hold_together(child.hProcess)) {
        TerminateProcess(child.hProcess, EXIT_OWN_FAILURE);
        die(EXIT_OWN_FAILURE, "can't have a job object", GetLastError());
    }
    if (!memory_low_reserve(child.hProcess)) {
        TerminateProcess(child.hProcess, EXIT_OWN_FAILURE);
        die(EXIT_OWN_FAILURE, "can't have the place that programs are linked to", GetLastError());
    }
    ResumeThread(child.hThread);
    WaitForSingleObject(child.hProcess, INFINITE);
    GetExitCodeProcess(child.hProcess, &status);
    TerminateProcess(GetCurrentProcess(), status < 256 ? status : 128 + (status & 127)); /* by a signal: see process.c */
}

/* ---- Places ------------------------------------------------------------------------------------------------------ */

static void *place(uint64_t address, uint64_t size, DWORD how)
{
    void *at = VirtualAlloc((void *)address, size, how, PAGE_READWRITE);
    if (at != (void *)address)
        die(EXIT_OWN_FAILURE, "an address that the libOS needs is taken", address);
    return at;
}

static void take_slots(void)
{
    uint64_t taken = 0, wanted = ((1ull << BLOCK_SLOTS) - 1) << BLOCK_FIRST_SLOT;
    DWORD slot;
    while ((wanted & ~taken) && (slot = TlsAlloc()) < 64)
        taken |= 1ull << slot;
    if (wanted & ~taken)
        die(EXIT_OWN_FAILURE, "slots of the thread's environment block are taken", taken);
    for (slot = 0; slot < BLOCK_FIRST_SLOT; slot++)
        if (taken >> slot & 1)
            TlsFree(slot);
}

/* The block lies at a distance from GS: see pal_image_header. */
static void move_gs_sites(void)
{
    for (uint64_t row = image->gs_sites; row < image->gs_sites_end; row += sizeof(int32_t))
        *(uint32_t *)(row + (uint64_t)(int64_t)*(const int32_t *)row) += BLOCK;
}

static void place_image(void)
{
    DWORD old;
    uint64_t size = (uint64_t)(image_text_end - image_text);
    memcpy(place(PAL_IMAGE_BASE, size, MEM_RESERVE | MEM_COMMIT), image_text, size);
    if (image->magic != PAL_IMAGE_MAGIC || image->abi_version != PAL_ABI_VERSION)
        die(EXIT_OWN_FAILURE, "the libOS image is not for this PAL", image->abi_version);
    move_gs_sites();
    VirtualProtect((void *)PAL_IMAGE_BASE, size, PAGE_EXECUTE_READ, &old);
    place(PAL_ARENA_BASE, PAL_ARENA_SIZE, MEM_RESERVE);
    place(PAL_HOST_BASE, STACK_TOP - PAL_HOST_BASE, MEM_RESERVE);
}

static void place_data(void)
{
    memcpy(place(PAL_ARENA_BASE, PAGE_UP(image->arena_end) - PAL_ARENA_BASE, MEM_COMMIT), image_data,
           (uint64_t)(image_data_end - image_data));
    place(STACK_TOP - STACK_SIZE, STACK_SIZE, MEM_COMMIT);
}

HANDLE segment;

/* Its handle is inherited by all that come from this process, and never closed. */
static HANDLE make_segment(void)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    return CreateFileMappingW(INVALID_HANDLE_VALUE, &inherited, PAGE_READWRITE, 0, (DWORD)SEGMENT_SIZE, NULL);
}

void segment_map(HANDLE section)
{
    segment = section;
    if (!section || MapViewOfFileEx(section, FILE_MAP_ALL_ACCESS, 0, 0, 0, (void *)PAL_SHARED_BASE) != (void *)PAL_SHARED_BASE)
        die(EXIT_OWN_FAILURE, "can't map the shared segment", GetLastError());
}

/* ---- What the libOS is told -------------------------------------------------------------------------------------- */

static uint64_t used = sizeof(struct pal_boot);

static void *put(const void *bytes, uint64_t size, uint64_t align)
{
    used = (used + align - 1) & ~(align - 1);
    if (used + size > BOOT_ROOM)
        die(EXIT_OWN_FAILURE, "arguments and environment are too large", 0);
    void *at = (void *)(PAL_SHARED_BASE + used);
    if (bytes)
        memcpy(at, bytes, size);
    used += size;
    return at;
}

static const char *put_string(const char *text)
{
    return put(text, strlen(text) + 1, 1);
}

static const char *const *put_strings(const char *const *strings, uint32_t count)
{
    const char **table = put(NULL, (count + 1) * sizeof *table, sizeof *table);
    for (uint32_t i = 0; i < count; i++)
        table[i] = put_string(strings[i]);
    table[count] = NULL;
    return table;
}

static void put_standard(void)
{
    static const DWORD names[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    for (uint32_t i = 0; i < PAL_STANDARD_STREAMS; i++) {
        HANDLE host = GetStdHandle(names[i]);
        boot->standard[i] = PAL_NO_HANDLE;
        if (!host || host == INVALID_HANDLE_VALUE)
            continue;
        boot->standard[i] = (pal_handle_t)handle_add(host, GetFileType(host) == FILE_TYPE_DISK ? HANDLE_FILE : HANDLE_STREAM,
                                                     i == PAL_STDIN ? PAL_OPEN_READ : PAL_OPEN_WRITE);
    }
    boot->log = boot->standard[PAL_STDERR];
}

/* The processor's facts, as Linux's auxiliary vector has them.  FSGSBASE is not among them: the host loses what is set so. */
static void put_facts(void)
{
    uint32_t eax = 1, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    boot->hwcap = edx;
    eax = 0xd, ecx = 0;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    boot->minimum_signal_stack = 1024 + ebx; /* frame and the state that XSAVE has */
    boot->platform = (uint64_t)put_string("x86_64");
    SYSTEM_INFO system;
    GetSystemInfo(&system);
    boot->cpu_count = system.dwNumberOfProcessors;
}

static void put_limits(void)
{
    enum { STACK = 3, FILES = 7 };
    for (uint32_t i = 0; i < PAL_LIMITS; i++)
        boot->limits[i].soft = boot->limits[i].hard = UINT64_MAX;
    boot->limits[STACK].soft = 8 << 20;
    boot->limits[FILES].soft = boot->limits[FILES].hard = MOST_HANDLES;
    boot->memory_limit = boot->cpu_limit = UINT64_MAX;
    boot->process_limit = 1000;
    boot->file_limit = MOST_HANDLES - 64;
}

static void put_program(const struct options *options)
{
    static const char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/"};
    const char *all[MOST_ENVIRONMENT + 2];
    memcpy(all, environment, sizeof environment);
    memcpy(all + 2, options->environment, options->environment_count * sizeof *all);
    boot->program = put_string(options->argv[0]);
    boot->argc = options->argc;
    boot->argv = put_strings(options->argv, options->argc);
    boot->envc = options->environment_count + 2;
    boot->envp = put_strings(all, boot->envc);
    boot->cwd = put_string(options->cwd);
    boot->home = put_string("/");
    boot->trace = options->trace;
    boot->stats = options->stats;
}

static void fill_boot(const struct options *options)
{
    char hostname[MAX_COMPUTERNAME_LENGTH + 1];
    DWORD size = sizeof hostname;
    boot->abi_version = PAL_ABI_VERSION;
    boot->capabilities = PAL_CAN_SYNC_CODE;
    boot->granularity = VIEW_GRANULARITY;
    boot->views = (struct pal_range){VIEWS_START, VIEWS_END};
    boot->shared_size = SEGMENT_SIZE;
    boot->host_process = GetCurrentProcessId();
    boot->rewrite = PAL_REWRITE_AHEAD;
    boot->uid = boot->gid = 1000;
    boot->umask = 022;
    boot->hostname = put_string(GetComputerNameA(hostname, &size) ? hostname : "windows");
    struct pal_mount whole = {.at = put_string("/"), .writable = 1};
    boot->mounts = put(&whole, sizeof whole, sizeof(void *));
    boot->mount_count = 1;
    put_program(options);
    put_facts();
    put_limits();
    put_standard();
    boot->shared_used = PAGE_UP(word_init(PAGE_UP(PAL_SHARED_BASE + used))) - PAL_SHARED_BASE;
}

static struct pal_api api; /* at the same place in all processes */

static void __attribute__((noreturn)) start_forked(uint64_t section)
{
    take_slots();
    place_image();
    memory_init(NULL);
    fork_begin((HANDLE)section);
    process_begin_forked();
    exception_init();
    api_fill(&api);
    windows_return_from_fork();
}

void windows_start(void)
{
    static struct options options;
    static struct pal_tcb first;
    uint64_t forked = options_fork_section();
    if (forked)
        start_forked(forked);
    options_read(&options);
    if (path_root(options.root) < 0)
        die(EXIT_OWN_FAILURE, "--root: no such directory", 0);
    if (!options.picoprocess)
        launch();
    take_slots();
    place_image();
    place_data();
    segment_map(make_segment());
    memory_init(boot->taken);
    fill_boot(&options);
    first.libos_stack = STACK_TOP;
    thread_start_first(&first);
    exception_init();
    api_fill(&api);
    windows_enter_image(&api, boot, (const void *)image->start);
}
