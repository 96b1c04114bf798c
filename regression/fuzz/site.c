/* SPDX-License-Identifier: MIT */
/*
 * site-test [-a] [-t THREADS] [-n SITES] [-r RUNS] [-s SEED]: the call-site rewriter at work, without a libOS.
 *
 * Copies of the snippets trap by Syscall User Dispatch; the handler does what the libOS would.  Each site is run by all
 * threads while it is being rewritten, under a shower of signals whose handler sends the thread back to the guest
 * address that its place stands for.  Registers and flags must come out as they do when nothing is rewritten.
 *
 * -a: all sites are found and rewritten before the threads run, as on a host that has no trap; then none may trap.
 */
#include "shim/rewrite/rewrite.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define TEXT_BASE 0x20000000ul
#define ALLOWED_BASE 0x100000000ul /* the test's own code may make system calls */
#define ALLOWED_END 0x7ffffffff000ul
#define PAGE 4096ul
#define FLAGS 0x8d5ul /* those that arithmetic sets */
#define THREADS_MAX 16
#define SPACING 320

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, RFLAGS, REGISTERS };
struct registers { uint64_t r[REGISTERS]; };
struct snippet { const char *name; const uint8_t *code; uint64_t size; };

extern const struct snippet snippets[], snippets_end[];
void run(struct registers *registers, const void *code);
void entry(void);
void entry_tail(void);

extern __thread struct registers *run_registers;
extern __thread void *run_code, *entry_stack, *entry_rsp, *entry_resume;
extern __thread uint64_t entry_calls;
__thread struct registers *run_registers;
__thread void *run_code, *entry_stack, *entry_rsp, *entry_resume;
__thread uint64_t entry_calls;

struct worker { pthread_t thread; uint32_t seed; uint64_t calls; };

static struct worker workers[THREADS_MAX];
static unsigned thread_count = 8, site_count = 1000, runs = 1, seed = 1;
static uint64_t text_end; /* [TEXT_BASE, text_end) */
static atomic_ulong traps, mapped, faults;
static atomic_uint finished;
static atomic_bool done;
static pthread_barrier_t barrier;
static __thread uint32_t handler_seed;
static bool rewriting;
static const struct site_record *found; /* ahead: none of them may trap */
static uint32_t found_count;

static void fail(const char *what, uint64_t a, uint64_t b)
{
    dprintf(2, "site-test: %s: %#lx %#lx\n", what, a, b);
    abort();
}

static uint32_t chance(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 16;
}

/* ---- The host ---------------------------------------------------------------------------------------------------- */

static pthread_mutex_t text_lock = PTHREAD_MUTEX_INITIALIZER;

static int text_pin(uint64_t address, uint64_t *start, uint64_t *end)
{
    if (address < TEXT_BASE || address >= text_end)
        return 0;
    if (pthread_mutex_trylock(&text_lock)) {
        if (chance(&handler_seed) & 1)
            return -1;
        pthread_mutex_lock(&text_lock);
    }
    *start = TEXT_BASE;
    *end = text_end;
    return 1;
}

static void text_unpin(void)
{
    pthread_mutex_unlock(&text_lock);
}

static int64_t code_writable(uint64_t page, uint64_t size, int on)
{
    return mprotect((void *)page, size, PROT_READ | PROT_EXEC | (on ? PROT_WRITE : 0)) ? -errno : 0;
}

static void sync_cores(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0))
        fail("membarrier", (uint64_t)errno, 0);
}

static uint64_t trampoline_pool(uint64_t low, uint64_t high, uint64_t size)
{
    if (low < text_end)
        low = text_end;
    for (low = (low + size - 1) & -size; low + size <= high && low < ALLOWED_BASE; low += size) {
        void *at = mmap((void *)low, size, PROT_READ | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (at != MAP_FAILED)
            return (uint64_t)at;
    }
    return 0;
}

static void *alloc(uint64_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void yield(void)
{
    usleep(0);
}

static struct site_host host = {
    .text_pin = text_pin, .text_unpin = text_unpin, .code_writable = code_writable, .sync_cores = sync_cores,
    .trampoline_pool = trampoline_pool, .alloc = alloc, .yield = yield,
};

/* ---- Handlers ---------------------------------------------------------------------------------------------------- */

/* What a single-stepping debugger sees: guest addresses, one after the other. */
static uint64_t steps[4096];
static unsigned step_count;
static __thread bool stepping;

static void step(uint64_t rip)
{
    uint64_t guest = site_guest(rip);
    bool text = guest >= TEXT_BASE && guest < text_end;
    bool moved = step_count == 0 || steps[step_count - 1] != guest;
    if (stepping && text && moved && step_count < sizeof(steps) / sizeof(steps[0]))
        steps[step_count++] = guest;
}

static void on_syscall(int number, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)number;
    (void)info;
    traps++;
    if (r[REG_RIP] < (greg_t)TEXT_BASE || r[REG_RIP] > (greg_t)text_end)
        fail("a system call from outside", (uint64_t)r[REG_RIP], 0);
    r[REG_RCX] = r[REG_RIP];
    r[REG_R11] = r[REG_EFL];
    r[REG_RAX] = 3 * r[REG_RAX] + r[REG_RDI];
    for (uint32_t i = 0; i < found_count; i++)
        if (TEXT_BASE + found[i].at + 2 == (uint64_t)r[REG_RIP])
            fail("a site trapped that was rewritten ahead", (uint64_t)r[REG_RIP], found[i].plan.kind);
    step((uint64_t)r[REG_RIP]); /* the kernel has stepped over the instruction before it sent this */
    if (!rewriting)
        return;
    site_rewrite((uint64_t)r[REG_RIP]);
    if (chance(&handler_seed) & 1) /* else a thread that the site's bytes changed under */
        r[REG_RIP] = (greg_t)site_resume((uint64_t)r[REG_RIP]);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t to = site_fault((uint64_t)r[REG_RIP]);
    (void)info;
    if (to == 0)
        fail(number == SIGILL ? "SIGILL at" : "SIGSEGV at", (uint64_t)r[REG_RIP], *(uint64_t *)r[REG_RIP]);
    r[REG_RIP] = (greg_t)to;
    faults++;
}

static void on_interrupt(int number, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t rip = (uint64_t)r[REG_RIP], guest = site_guest(rip);
    (void)number;
    (void)info;
    if (guest == rip)
        return;
    if (guest < TEXT_BASE || guest >= text_end)
        fail("a trampoline stands for", rip, guest);
    mapped++;
    if (chance(&handler_seed) & 3)
        r[REG_RIP] = (greg_t)guest;
}

static void on_step(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    step((uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP]);
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void thread_begin(uint32_t thread_seed)
{
    stack_t stack = {.ss_sp = alloc(0x20000), .ss_size = 0x20000};
    entry_stack = (char *)alloc(PAGE) + PAGE;
    handler_seed = thread_seed;
    if (sigaltstack(&stack, NULL) ||
        prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, ALLOWED_BASE, ALLOWED_END - ALLOWED_BASE, NULL))
        fail("no Syscall User Dispatch", (uint64_t)errno, 0);
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

/* A function's body, so that there is something before each snippet to find one's feet in; no padding. */
static const uint8_t filler[] = {0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 0x18, 0x48, 0x8b, 0x07, 0x85, 0xc0,
                                 0x74, 0x05, 0xe8, 0x00, 0x01, 0x00, 0x00, 0x48, 0x83, 0xc4, 0x18, 0x5b, 0x5d, 0xc3};

static const struct snippet *snippet_of(unsigned site)
{
    return &snippets[site % (unsigned)(snippets_end - snippets)];
}

/* Snippets lie at all offsets in an eight-byte word, but those that rely on padding, which comes with alignment. */
static uint64_t site_address(unsigned site)
{
    const struct snippet *snippet = snippet_of(site);
    uint64_t aligned = TEXT_BASE + PAGE + site * SPACING + 128;
    return (snippet->size & 15) == 0 ? aligned : aligned + site / 20 % 16;
}

static void text_make(void)
{
    text_end = TEXT_BASE + ((site_count * SPACING + 3 * PAGE) & -PAGE);
    uint8_t *text = mmap((void *)TEXT_BASE, text_end - TEXT_BASE, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (text == MAP_FAILED)
        fail("no text", (uint64_t)errno, 0);
    for (uint64_t i = 0; i < text_end - TEXT_BASE; i++)
        text[i] = filler[i % sizeof(filler)];
    for (unsigned i = 0; i < site_count; i++) {
        uint8_t *at = (uint8_t *)site_address(i);
        uint8_t *from = at - sizeof(filler) * 3;
        for (unsigned k = 0; k < 3; k++)
            memcpy(from + k * sizeof(filler), filler, sizeof(filler));
        memcpy(at, snippet_of(i)->code, snippet_of(i)->size);
        memcpy(at + snippet_of(i)->size, filler, sizeof(filler));
    }
    mprotect(text, text_end - TEXT_BASE, PROT_READ | PROT_EXEC);
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

static struct registers arguments(unsigned site, unsigned variant)
{
    struct registers in;
    for (int i = 0; i < REGISTERS; i++)
        in.r[i] = 0x0101010101010101ul * (uint64_t)(i + 1) + site + variant;
    in.r[RAX] = 17 + variant;
    in.r[RSI] = 1000 + site;
    in.r[RDI] = variant & 1 ? 5 : -(uint64_t)site;
    in.r[RBP] = variant % 3;
    in.r[RFLAGS] = variant & 2 ? FLAGS : 0;
    return in;
}

static void compare(unsigned site, unsigned variant, const struct registers *is, const struct registers *should)
{
    for (int i = 0; i < REGISTERS; i++) {
        uint64_t mask = i == RFLAGS || i == R11 ? ~0x10000ul : ~0ul;
        if ((is->r[i] & mask) == (should->r[i] & mask))
            continue;
        dprintf(2, "site-test: %s (site %u at %#lx, variant %u): register %d is %#lx, should be %#lx\n",
                snippet_of(site)->name, site, site_address(site), variant, i, is->r[i], should->r[i]);
        abort();
    }
}

#define VARIANTS 6
static struct registers (*expected)[VARIANTS];

static void run_site(unsigned site)
{
    for (unsigned variant = 0; variant < VARIANTS; variant++) {
        struct registers registers = arguments(site, variant);
        run(&registers, (void *)site_address(site));
        compare(site, variant, &registers, &expected[site][variant]);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    thread_begin(worker->seed);
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < site_count; i++)
        for (int again = 0; again < 3; again++)
            run_site((i + (chance(&worker->seed) & 3)) % site_count);
    worker->calls = entry_calls;
    finished++;
    pthread_barrier_wait(&barrier); /* the shower needs living threads */
    return NULL;
}

static void *shower(void *argument)
{
    while (!atomic_load(&done)) {
        for (unsigned i = 0; i < thread_count; i++)
            pthread_kill(workers[i].thread, SIGUSR1);
        usleep(1000);
    }
    return argument;
}

static void expect(void)
{
    expected = calloc(site_count, sizeof(*expected));
    rewriting = false;
    for (unsigned i = 0; i < site_count; i++)
        for (unsigned variant = 0; variant < VARIANTS; variant++) {
            expected[i][variant] = arguments(i, variant);
            run(&expected[i][variant], (void *)site_address(i));
        }
    rewriting = true;
}

/* All threads over all sites, while they are fresh. */
static uint64_t run_threads(void)
{
    pthread_t rain;
    uint64_t calls = 0;
    pthread_barrier_init(&barrier, NULL, thread_count + 1);
    atomic_store(&done, false);
    atomic_store(&finished, 0);
    for (unsigned i = 0; i < thread_count; i++) {
        workers[i].seed = ++seed;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
            fail("no thread", 0, 0);
    }
    pthread_create(&rain, NULL, shower, NULL);
    pthread_barrier_wait(&barrier);
    while (atomic_load(&finished) < thread_count)
        usleep(1000);
    atomic_store(&done, true);
    pthread_join(rain, NULL);
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < thread_count; i++) {
        pthread_join(workers[i].thread, NULL);
        calls += workers[i].calls;
    }
    return calls;
}

static unsigned single_step(unsigned site, unsigned variant, uint64_t out[128])
{
    struct registers registers = arguments(site, variant);
    registers.r[RFLAGS] |= 0x100;
    step_count = 0;
    stepping = true;
    run(&registers, (void *)site_address(site));
    __asm__ volatile("pushfq; andl $~0x100, (%%rsp); popfq" ::: "memory", "cc");
    stepping = false;
    unsigned count = step_count < 128 ? step_count : 128;
    memcpy(out, steps, count * sizeof(steps[0]));
    return count;
}

static void fail_steps(unsigned site, const uint64_t *should, unsigned count, const uint64_t *is, unsigned is_count)
{
    for (unsigned i = 0; i < count || i < is_count; i++)
        dprintf(2, "  %#lx, should be %#lx\n", i < is_count ? is[i] : 0, i < count ? should[i] : 0);
    dprintf(2, "site-test: %s: other steps\n", snippet_of(site)->name);
    abort();
}

static void test_steps(void)
{
    uint64_t before[128], after[128];
    for (unsigned site = 0; site < 60 && site < site_count; site++)
        for (unsigned variant = 0; variant < 3; variant++) {
            rewriting = false;
            unsigned count = single_step(site, variant, before);
            rewriting = true;
            run_site(site);
            run_site(site);
            unsigned again = single_step(site, variant, after);
            if (count < 3 || again != count || memcmp(before, after, count * sizeof(before[0])))
                fail_steps(site, before, count, after, step_count);
            site_forget(TEXT_BASE, text_end, true);
        }
}

static void report(uint64_t calls)
{
    struct site_statistics s;
    site_statistics(&s);
    printf("sites:");
    for (int i = 0; i < SITE_KINDS; i++)
        printf(" %s %lu", site_kind_names[i], s.by_kind[i]);
    for (int i = 1; i < SITE_REFUSALS; i++)
        if (s.by_refusal[i])
            printf(", refused (%s) %lu", site_refusal_names[i], s.by_refusal[i]);
    printf("; second way %lu; pools %lu, trampolines %lu bytes; calls %lu, traps %lu, faults %lu, signals in trampolines %lu\n",
           s.second, s.pools, s.trampoline_bytes, calls, atomic_load(&traps), atomic_load(&faults), atomic_load(&mapped));
}

/* Where the snippets are as strange as to be no code, the scan leaves them: a tenth. */
static uint64_t run_ahead(void)
{
    uint32_t count = site_find_all(TEXT_BASE, text_end, NULL, 0);
    struct site_record *records = calloc(count, sizeof *records);
    if (site_find_all(TEXT_BASE, text_end, records, count) != count || count < site_count * 9 / 10)
        fail("sites not found", count, site_count);
    site_rewrite_known(TEXT_BASE, text_end, records, count);
    found = records;
    found_count = count;
    uint64_t calls = run_threads();
    found_count = 0;
    free(records);
    return calls;
}

/* Restored text has the program's bytes, runs, and can be rewritten again; unmapped text leaves nothing behind. */
static void test_forget(const uint8_t *original)
{
    struct site_statistics s;
    site_forget(TEXT_BASE, text_end, true);
    for (uint64_t i = 0; i < text_end - TEXT_BASE; i++)
        if (((uint8_t *)TEXT_BASE)[i] != original[i])
            fail("not restored", TEXT_BASE + i, original[i]);
    for (unsigned i = 0; i < site_count; i++)
        run_site(i);
    site_forget(TEXT_BASE, text_end, false);
    site_statistics(&s);
    if (s.trampoline_bytes)
        fail("trampolines left", s.trampoline_bytes, 0);
}

int main(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "at:n:r:s:")) != -1)
        switch (option) {
        case 'a': host.no_trap = true; break;
        case 't': thread_count = (unsigned)atoi(optarg); break;
        case 'n': site_count = (unsigned)atoi(optarg); break;
        case 'r': runs = (unsigned)atoi(optarg); break;
        case 's': seed = (unsigned)atoi(optarg); break;
        default: return 2;
        }
    if (thread_count < 1 || thread_count > THREADS_MAX)
        return 2;
    host.entry = (uint64_t)entry;
    host.entry_tail = (uint64_t)entry_tail;
    site_init(&host);
    handle(SIGSYS, on_syscall);
    handle(SIGSEGV, on_fault);
    handle(SIGILL, on_fault);
    handle(SIGUSR1, on_interrupt);
    handle(SIGTRAP, on_step);
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
    thread_begin(seed);
    for (unsigned i = 0; i < runs; i++) {
        text_make();
        uint8_t *original = malloc(text_end - TEXT_BASE);
        memcpy(original, (void *)TEXT_BASE, text_end - TEXT_BASE);
        expect();
        if (i == 0)
            test_steps();
        uint64_t calls = host.no_trap ? run_ahead() : run_threads();
        if (i == 0)
            report(calls);
        test_forget(original);
        free(original);
        free(expected);
    }
    printf("ok\n");
    return 0;
}
