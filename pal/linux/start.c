/* SPDX-License-Identifier: MIT */
/*
 * From exec to the libOS: the shared segment, the host's facts, the first thread, handlers, the filter, the trap.
 *
 * pal-run has made the session, limits and descriptors (enum linux_start_fd).  Start-up time is felt by users: no call
 * here that could be left out or done later, and few pages touched.
 */
#include <asm/prctl.h>
#include <asm/stat.h>
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/mman.h>
#include <linux/landlock.h>
#include <linux/membarrier.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/signal.h>

#include "pal/linux/linux.h"

#define HWCAP2_FSGSBASE 2u
#define PREFETCH_RIGHTS 64u          /* words: room for all descriptors that pal-run sends */
#define TOLD_CYCLES 2000000u      /* about 1 ms: to be woken up costs more than to look that long */
#define MESSAGE_DONTWAIT 0x40u
#define STACK_BELOW (1ull << 20)  /* what the kernel may have mapped of its stack beyond what it filled */

static struct pal_tcb first_tcb;
uint32_t linux_dispatch, linux_start_generation;
uint64_t linux_start_cycles;

/* The entries of the auxiliary vector that matter, by type. */
struct facts {
    uint64_t value[64];
};

static void read_facts(struct facts *facts, const uint64_t *stack)
{
    const uint64_t *at = stack + 1 + stack[0] + 1; /* past argc, argv and its NULL */
    while (*at++)
        ;
    for (; at[0] != AT_NULL; at += 2)
        if (at[0] < 64)
            facts->value[at[0]] = at[1];
}

static uint64_t map_shared(void)
{
    struct stat status;
    int64_t error = host_call(fstat, LINUX_FD_SHARED, &status);
    if (error < 0)
        die(LINUX_EXIT_BROKEN, "no shared segment: this program is started by pal-run", 0, 0);
    error = host_call(mmap, PAL_SHARED_BASE, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
                      LINUX_FD_SHARED, 0);
    if (error != (int64_t)PAL_SHARED_BASE)
        die(LINUX_EXIT_BROKEN, "can't map the shared segment", -error, 0);
    if (shared->magic != PAL_IMAGE_MAGIC || shared->version != MONITOR_VERSION)
        die(LINUX_EXIT_BROKEN, "pal-run and picoprocess are of different versions", shared->version, 0);
    if (image->magic != PAL_IMAGE_MAGIC || image->abi_version != PAL_ABI_VERSION)
        die(LINUX_EXIT_BROKEN, "the libOS image is not for this PAL", image->abi_version, 0);
    return status.st_size;
}

static void map_own(uint64_t start, uint64_t end, uint32_t populate, const char *what)
{
    int64_t at = host_call(mmap, start, end - start, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | populate, -1, 0);
    if (at != (int64_t)start)
        die(LINUX_EXIT_BROKEN, what, -at, 0);
}

/*
 * The first thread's stack, and .data and .bss of the image.  The heap behind that needs no mapping to be reserved: nothing
 * else ever maps there, since the PAL takes no address from a caller outside the guest's range and the heap, and never
 * leaves the choice to the kernel.
 */
static void map_arena(void)
{
    map_own((uint64_t)linux_main_stack, (uint64_t)linux_main_stack_top, 0, "can't map the first thread's stack");
    map_own(PAL_ARENA_BASE, PAGE_UP(image->arena_end), MAP_POPULATE /* each page is written before long */, "can't map the arena");
    memcpy((void *)PAL_ARENA_BASE, image_data, (uint64_t)(image_data_end - image_data));
}

static uint64_t count_processors(void)
{
    uint64_t mask[128] = {0}, count = 0;
    int64_t size = host_call(sched_getaffinity, 0, sizeof mask, mask);
    for (int64_t i = 0; i < size / 8; i++)
        for (uint64_t bits = mask[i]; bits; bits &= bits - 1)
            count++;
    return count ? count : 1;
}

/* With this mitigation each return inside the kernel leaves an entry on the processor's return stack. */
static uint64_t find_returns_lost(void)
{
    static const char mark[] = "Safe RET";
    char text[128];
    int64_t size = host_call(read, LINUX_FD_STACK, text, sizeof text);
    host_call(close, LINUX_FD_STACK);
    for (int64_t at = 0; at + (int64_t)sizeof mark - 1 <= size; at++)
        if (!memcmp(text + at, mark, sizeof mark - 1))
            return 1;
    return 0;
}

static void find_facts(struct pal_boot *boot, const struct facts *facts, uint64_t shared_size, uint64_t process)
{
    boot->capabilities = PAL_KEEPS_POINTER | PAL_KEEPS_FLAGS;
    if (shared->trap != LINUX_TRAP_NONE)
        boot->capabilities |= PAL_CAN_TRAP;
    /* Registered while there is one thread: later it would wait for every processor, milliseconds. */
    if (host_call(membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0)
        boot->capabilities |= PAL_CAN_SYNC_CODE;
    boot->granularity = PAL_PAGE_SIZE;
    boot->shared_size = shared_size;
    boot->cpu_count = count_processors();
    boot->host_process = process;
    boot->clock_gettime = vdso_symbol("__vdso_clock_gettime");
    boot->gettimeofday = vdso_symbol("__vdso_gettimeofday");
    boot->time = vdso_symbol("__vdso_time");
    boot->getcpu = vdso_symbol("__vdso_getcpu");
    boot->hwcap = facts->value[AT_HWCAP];
    boot->hwcap2 = facts->value[AT_HWCAP2];
    boot->platform = (uint64_t) "x86_64";
    boot->minimum_signal_stack = facts->value[AT_MINSIGSTKSZ];
    boot->host_signals = (uint64_t)&linux_host_signals;
}

/* Tests have ranges taken, as another host's own mappings would. */
static void take_ranges(void)
{
    for (uint32_t i = 0; i < PAL_TAKEN && shared->boot.taken[i].end; i++) {
        uint64_t start = shared->boot.taken[i].start, size = shared->boot.taken[i].end - start;
        if (host_call(mmap, start, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) !=
            (int64_t)start)
            die(LINUX_EXIT_BROKEN, "can't take a range", start, size);
    }
}

/* Each field is set by one side, and left zero (or set to the same) by the other. */
static void tell_facts(const struct pal_boot *found)
{
    uint64_t *boot = (uint64_t *)&shared->boot;
    for (uint64_t i = 0; i < sizeof *found / sizeof *boot; i++)
        boot[i] |= ((const uint64_t *)found)[i];
}

/*
 * pal-run starts this program before it knows what to tell it.  Its one packet says that the segment is filled, and
 * brings the descriptors of linux_prefetched: they take the lowest free numbers, which are those from LINUX_FD_PREFETCHED on.
 */
static void wait_until_told(void)
{
    struct monitor_reply packet;
    uint64_t rights[PREFETCH_RIGHTS], begin = __builtin_ia32_rdtsc();
    struct pal_vector part = {(uint64_t)&packet, sizeof packet};
    int64_t size;
    do {
        struct host_msghdr message = {
            .vector = &part, .count = 1, .control = rights, .control_size = sizeof rights};
        uint32_t patient = __builtin_ia32_rdtsc() - begin < TOLD_CYCLES;
        size = host_call(recvmsg, LINUX_FD_CHANNEL, &message, patient ? MESSAGE_DONTWAIT : 0);
        if (size == -EAGAIN)
            host_call(sched_yield); /* pal-run may wait for this very processor */
    } while (size == -EAGAIN || size == -EINTR);
    if (size != sizeof packet)
        host_call(exit_group, LINUX_EXIT_BROKEN); /* pal-run has failed, and said why */
}

int64_t linux_arm_dispatch(void)
{
    return host_call(prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, linux_text_start,
                     linux_text_end - linux_text_start, NULL);
}

static void install_filter(const struct sock_filter *filter, uint64_t count)
{
    struct sock_fprog program = {.len = (unsigned short)count, .filter = (struct sock_filter *)filter};
    int64_t error = host_call(prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    if (error < 0)
        die(LINUX_EXIT_BROKEN, "the host refuses the seccomp filter", -error, 0);
}

/* Interposition only, no boundary: calls that do not come from the PAL's text become SIGSYS. */
static void install_address_filter(void)
{
    uint64_t start = (uint64_t)linux_text_start, end = (uint64_t)linux_text_end;
    uint32_t low = offsetof(struct seccomp_data, instruction_pointer), high = low + 4;
    const struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, high),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(start >> 32), 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)start, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)end, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    install_filter(filter, sizeof filter / sizeof *filter);
}

/*
 * A second wall, where the host has it: no path can be opened, no signal sent, no socket connected to what lies outside.
 * None of these calls is admitted anyway.  What is open, or comes from the monitor, is not touched.  With name calls reading
 * is left to the view, which is not there yet.
 */
static void restrict_by_landlock(void)
{
    static const uint8_t file_rights[] = {0, 13, 14, 15, 15, 16}; /* all there are, by version */
    int64_t version = host_call(landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version <= 0)
        return;
    uint64_t reading = shared->names ? LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR : 0;
    const struct { uint64_t files, net, scopes; } all = {
        ((1ull << file_rights[version < 5 ? version : 5]) - 1) & ~reading, version >= 4 ? 3 : 0, version >= 6 ? 3 : 0};
    int64_t rules = host_call(landlock_create_ruleset, &all, sizeof all, 0);
    int64_t error = rules < 0 ? rules : host_call(landlock_restrict_self, rules, 0);
    if (error < 0 && error != -E2BIG) /* pal-run itself is in as many as there can be */
        die(LINUX_EXIT_BROKEN, "the host refuses a Landlock rule set", -error, 0);
    if (rules >= 0)
        host_call(close, rules);
}

/* From here on only the calls of hostcalls.def are possible, in this process and all that come from it. */
static void confine(void)
{
    int64_t error = host_call(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (error < 0)
        die(LINUX_EXIT_BROKEN, "the host refuses no_new_privs", -error, 0);
    restrict_by_landlock();
    linux_dispatch = shared->trap != LINUX_TRAP_SECCOMP;
    if (linux_dispatch && linux_arm_dispatch() < 0)
        die(LINUX_EXIT_BROKEN, "this kernel has no Syscall User Dispatch: use --trap=seccomp", 0, 0);
    if (!linux_dispatch)
        install_address_filter();
    const struct linux_filter *filter = shared->names ? &shared->view_filter : &shared->filter;
    if (shared->refusal.count)
        install_filter((const struct sock_filter *)shared->refusal.program, shared->refusal.count);
    if (filter->count)
        install_filter((const struct sock_filter *)filter->program, filter->count);
}

/*
 * The file that was executed may hold pal-run as well, at addresses that guests use.  What the kernel mapped of it below
 * this program goes.
 */
static void unmap_launcher(const struct facts *facts)
{
    if (facts->value[AT_ENTRY] >= (uint64_t)linux_text_start)
        return; /* a file of its own: a test's */
    const Elf64_Phdr *segment = (const Elf64_Phdr *)facts->value[AT_PHDR];
    uint64_t start = (uint64_t)linux_text_start, end = 0;
    for (uint64_t i = 0; i < facts->value[AT_PHNUM]; i++) {
        if (segment[i].p_type != PT_LOAD || segment[i].p_vaddr >= (uint64_t)linux_text_start)
            continue;
        if (segment[i].p_vaddr < start)
            start = segment[i].p_vaddr & ~(uint64_t)(PAL_PAGE_SIZE - 1);
        if (segment[i].p_vaddr + segment[i].p_memsz > end)
            end = PAGE_UP(segment[i].p_vaddr + segment[i].p_memsz);
    }
    if (end > start)
        host_call(munmap, start, end - start);
}

/* The kernel's stack has served when the image begins: no fork need copy it, with page tables of its own.  The name of
 * this program is the last thing on it. */
static void keep_stack_from_forks(const uint64_t *stack, const char *name)
{
    uint64_t start = ((uint64_t)stack & ~(uint64_t)(PAL_PAGE_SIZE - 1)) - STACK_BELOW;
    while (*name++)
        ;
    host_call(madvise, start, PAGE_UP(name) - start, MADV_DONTFORK);
}

/* Until here those that pal-run queued have waited. */
static void let_interrupts_in(void)
{
    static const uint64_t none;
    host_call(rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

/* Where memory runs out the kernel should take the guest before pal-run and its supervisor.  Anybody may raise this. */
static void die_first(void)
{
    static const char most[] = "1000";
    host_call(write, LINUX_FD_SCORE, most, sizeof most - 1);
    host_call(close, LINUX_FD_SCORE);
}

void linux_start(const uint64_t *stack)
{
    struct facts facts = {0};
    read_facts(&facts, stack);
    if (!(facts.value[AT_HWCAP2] & HWCAP2_FSGSBASE))
        die(LINUX_EXIT_BROKEN, "this processor or kernel has no FSGSBASE instructions (Linux 5.9 or later has)", 0, 0);
    map_own((uint64_t)linux_bss, (uint64_t)linux_bss_end, 0, "can't map the PAL's state");
    unmap_launcher(&facts);
    vdso_init(facts.value[AT_SYSINFO_EHDR]); /* first: it may lie where the arena or the segment is to be */
    uint64_t shared_size = map_shared();
    map_arena();
    linux_start_generation = shared->generation;
    linux_start_cycles = __builtin_ia32_rdtsc();
    first_tcb.libos_stack = (uint64_t)linux_main_stack_top;
    thread_start_first(&first_tcb, facts.value[AT_MINSIGSTKSZ]);
    struct pal_boot found = {.abi_version = 0};
    find_facts(&found, &facts, shared_size, thread_of(&first_tcb)->tid);
    first_tcb.host[HOST_RETURNS_LOST] = find_returns_lost();
    signal_init();
    let_interrupts_in();
    die_first();
    keep_stack_from_forks(stack, (const char *)facts.value[AT_EXECFN]);
    host_call(prctl, PR_SET_NAME, "picoprocess"); /* it was executed as /proc/self/exe */
    confine();
    if (stack[0] > 1) /* "wait" */
        wait_until_told();
    host_call(close, LINUX_FD_SHARED);
    tell_facts(&found);
    take_ranges();
    const struct pal_api *api = &linux_api;
    if (shared->boot.fault_nth)
        api = fault_wrap(api, shared->boot.fault_nth);
    linux_enter_image(api, &shared->boot, (void (*)(void))image->start, first_tcb.libos_stack);
}
