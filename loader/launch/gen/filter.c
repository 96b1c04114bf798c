/* SPDX-License-Identifier: MIT */
/*
 * Runs when pal-run is built: compiles hostcalls.def by libseccomp and prints the filters as C.  (Compiled at each
 * start they would cost more than the rest of pal-run's own work.)
 *
 * Everything not in the table kills, or traps where --trap=seccomp interposes by that.  clone3 answers ENOSYS to all:
 * its flags are in memory, where a filter can't look.  The x32 bit and foreign architectures kill.  The instruction
 * pointer is not looked at: a guest can jump onto any instruction.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/prctl.h>
#include <linux/rseq.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM_MAX 4096
#define CALLS_MAX 1024 /* numbers tried by check_same */
#define SAMPLES 400    /* of each */

static const struct row {
    const char *name, *reason;
    int number;
    const char *class;
    unsigned count; /* of conditions */
    enum when { ALWAYS, VIEW, UDP } when; /* only with the view; only with udp = "any" */
    struct { unsigned argument; uint64_t mask, value; } condition[2];
    struct { const char *mask, *value; } text[2]; /* the conditions as the table has them */
} rows[] = {
#define ANY(name, class, reason, when) {#name, reason, SYS_##name, #class, 0, when, {{0, 0, 0}, {0, 0, 0}}, {{NULL, NULL}, {NULL, NULL}}},
#define ONE(name, class, argument, mask, value, reason, when) \
    {#name, reason, SYS_##name, #class, 1, when, {{argument, mask, value}, {0, 0, 0}}, {{#mask, #value}, {NULL, NULL}}},
#define HOSTCALL(name, class, reason) ANY(name, class, reason, ALWAYS)
#define HOSTCALL_VIEW(name, class, reason) ANY(name, class, reason, VIEW)
#define HOSTCALL_IF(name, class, argument, mask, value, reason) ONE(name, class, argument, mask, value, reason, ALWAYS)
#define HOSTCALL_VIEW_IF(name, class, argument, mask, value, reason) ONE(name, class, argument, mask, value, reason, VIEW)
#define HOSTCALL_UDP_IF(name, class, argument, mask, value, reason) ONE(name, class, argument, mask, value, reason, UDP)
#define HOSTCALL_IF2(name, class, a1, mask1, value1, a2, mask2, value2, reason) \
    {#name, reason, SYS_##name, #class, 2, ALWAYS, {{a1, mask1, value1}, {a2, mask2, value2}}, {{#mask1, #value1}, {#mask2, #value2}}},
#include "pal/linux/hostcalls.def"
};

static void check(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "filter-gen: %s: error %d\n", what, -result);
        exit(1);
    }
}

static void add(scmp_filter_ctx context, const struct row *row)
{
    struct scmp_arg_cmp conditions[2];
    for (unsigned i = 0; i < row->count; i++)
        conditions[i] =
            SCMP_CMP(row->condition[i].argument, SCMP_CMP_MASKED_EQ, row->condition[i].mask, row->condition[i].value);
    check(seccomp_rule_add_exact_array(context, SCMP_ACT_ALLOW, row->number, row->count, conditions), "rule");
}

/*
 * The kernel compiles the filter at each start, at a cost that grows with its length, and libseccomp asks of each 32-bit
 * condition whether no bit of an argument's other half is set in a mask of none:
 *
 *     A = word; A &= 0; if (A == 0) goto next; else goto elsewhere;  next: A = another word
 *
 * That has one answer.  Nothing else is taken out, and the rest is checked against what it was.
 */
static bool is_idle(const struct sock_filter *at)
{
    return at[0].code == (BPF_LD | BPF_W | BPF_ABS) && at[1].code == (BPF_ALU | BPF_AND | BPF_K) && at[1].k == 0 &&
           at[2].code == (BPF_JMP | BPF_JEQ | BPF_K) && at[2].k == 0 && at[2].jt == 0 &&
           at[3].code == (BPF_LD | BPF_W | BPF_ABS);
}

static size_t take_idle_out(struct sock_filter *program, size_t count)
{
    static size_t moved[PROGRAM_MAX + 1];
    static bool inside[PROGRAM_MAX + 1];
    size_t kept = 0;
    for (size_t i = 0; i + 3 < count; i++) /* none jumps between the three: only onto the first */
        if (is_idle(&program[i])) {
            inside[i] = inside[i + 1] = inside[i + 2] = true;
            i += 2;
        } else {
            inside[i] = false;
        }
    for (size_t i = 0; i <= count; i++) {
        moved[i] = kept;
        kept += i < count && !inside[i];
    }
    for (size_t i = 0; i < count; i++) {
        struct sock_filter instruction = program[i];
        if (inside[i])
            continue;
        check(instruction.code == (BPF_JMP | BPF_JA) ? -EINVAL : 0, "a long jump");
        if (BPF_CLASS(instruction.code) == BPF_JMP) {
            for (int way = 0; way < 2; way++) {
                size_t to = i + 1 + (way ? instruction.jt : instruction.jf);
                check(inside[to] && program[to].code != (BPF_LD | BPF_W | BPF_ABS) ? -EINVAL : 0, "a jump into a condition");
            }
            instruction.jt = (uint8_t)(moved[i + 1 + instruction.jt] - moved[i] - 1);
            instruction.jf = (uint8_t)(moved[i + 1 + instruction.jf] - moved[i] - 1);
        }
        program[moved[i]] = instruction;
    }
    memset(inside, 0, sizeof inside);
    return kept;
}

static uint32_t run(const struct sock_filter *program, const struct seccomp_data *data)
{
    uint32_t a = 0;
    for (const struct sock_filter *at = program;; at++)
        switch (at->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const char *)data + at->k, sizeof a);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= at->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == at->k ? at->jt : at->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            at += a > at->k ? at->jt : at->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            at += a >= at->k ? at->jt : at->jf;
            break;
        case BPF_RET | BPF_K:
            return at->k;
        default:
            check(-EINVAL, "an instruction that libseccomp did not use to make");
        }
}

/* Each call, with the values that the table knows and others next to them, in both halves. */
static void check_same(const struct sock_filter *was, const struct sock_filter *is, size_t count)
{
    uint64_t state = 88172645463325252u;
    for (unsigned number = 0; number < CALLS_MAX; number++)
        for (int i = 0; i < SAMPLES; i++) {
            struct seccomp_data data = {.nr = (int)(i ? number : number | 0x40000000), .arch = AUDIT_ARCH_X86_64};
            for (int argument = 0; argument < 6; argument++) {
                state ^= state << 13, state ^= state >> 7, state ^= state << 17; /* xorshift */
                uint64_t value = was[state % count].k;
                value = state >> 60 < 10 ? value : state >> 60 < 12 ? value ^ 1u << (state >> 40 & 31) : state >> 60 < 14 ? 0 : state;
                data.args[argument] = state >> 32 & 3 ? value : value | value << (state >> 34 & 63);
            }
            if (run(was, &data) != run(is, &data))
                check(-EINVAL, "the shortened filter decides otherwise");
        }
}

static bool has(const struct row *row, bool view, bool udp)
{
    return row->when == ALWAYS || (row->when == VIEW ? view : udp);
}

static void emit(const char *name, uint32_t otherwise, bool view, bool udp)
{
    scmp_filter_ctx context = seccomp_init(otherwise);
    check(context ? 0 : -ENOMEM, "init");
    check(seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "bad architecture");
    check(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (has(&rows[i], view, udp))
            add(context, &rows[i]);
    check(seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SYS_clone3, 0), "clone3");
    static struct sock_filter program[PROGRAM_MAX], made[PROGRAM_MAX];
    int fd = memfd_create("filter", 0);
    check(fd < 0 ? -errno : seccomp_export_bpf(context, fd), "export");
    ssize_t size = pread(fd, program, sizeof program, 0);
    check(size <= 0 || size == sizeof program ? -E2BIG : 0, "size");
    memcpy(made, program, (size_t)size);
    size_t all = (size_t)size / sizeof *program, count = take_idle_out(program, all);
    check_same(made, program, all);
    printf("static const struct sock_filter %s[] = {\n", name);
    for (size_t i = 0; i < count; i++)
        printf("    {0x%02x, %u, %u, 0x%08x},\n", program[i].code, program[i].jt, program[i].jf, program[i].k);
    printf("};\n");
    close(fd);
    seccomp_release(context);
}

/* What a bundle may be packed without: see launch/filter.c. */
static void emit_classes(void)
{
    printf("static const struct class_row class_rows[] = {\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        printf("    {%d, LINUX_CLASS_%s, %u, {", row->number, row->class, row->count);
        for (unsigned j = 0; j < row->count; j++)
            printf("{%u, 0x%llxull, 0x%llxull}, ", row->condition[j].argument, (unsigned long long)row->condition[j].mask,
                   (unsigned long long)row->condition[j].value);
        printf("}},\n");
    }
    printf("};\n");
}

/* A condition in words.  In a table of Markdown a `|` parts columns. */
static void print_condition(const char *mask, const char *value)
{
    static const char flags[] = "NO_BITS_BUT(";
    bool set = !strncmp(mask, flags, sizeof flags - 1), zero = !strcmp(value, "0");
    if (!zero)
        printf("%s%s", value, set ? ", also with " : "");
    else if (set)
        printf("only ");
    else if (strcmp(mask, "INT_BITS"))
        printf("without %s", mask);
    else
        printf("0");
    if (!set)
        return;
    for (const char *at = mask + sizeof flags - 1; *at && *at != ')'; at++)
        if (*at == '|')
            printf("or");
        else
            putchar(*at);
}

/* Rows of one call stand together. */
static unsigned count_calls(bool view)
{
    unsigned count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        count += has(&rows[i], view, true) && (!i || rows[i].number != rows[i - 1].number);
    return count;
}

static void print_table(void)
{
    printf("# Host calls\n\nAll that a picoprocess may ask of the host. Made from pal/linux/hostcalls.def by `make "
           "docs/hostcalls.md`.\nOf an argument with `only` no other bits may be set. A [bundle](pack.md) "
           "may be without a class: its calls then fail with ENOSYS.\n\n| call | only with | class | why |\n|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool again = i && rows[i].number == rows[i - 1].number;
        printf("| %s | ", again ? "" : rows[i].name);
        for (unsigned j = 0; j < rows[i].count; j++) {
            printf(j ? "; " : "");
            print_condition(rows[i].text[j].mask, rows[i].text[j].value);
        }
        printf(" | ");
        for (const char *at = rows[i].class; *at; at++)
            putchar(*at | ' '); /* in small letters */
        printf(" | %s%s |\n", rows[i].when == VIEW ? "only with the view: " : rows[i].when == UDP ? "only with `udp = \"any\"`: " : "", rows[i].reason);
    }
    printf("\n%u calls with the view, %u without.\n", count_calls(true), count_calls(false));
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        print_table();
        return 0;
    }
    printf("/* SPDX-License-Identifier: MIT */\n/* Made from pal/linux/hostcalls.def by loader/launch/gen/filter.c. */\n");
    emit("filter_kill", SCMP_ACT_KILL_PROCESS, false, false);
    emit("filter_trap", SCMP_ACT_TRAP, false, false);
    emit("filter_view_kill", SCMP_ACT_KILL_PROCESS, true, false);
    emit("filter_view_trap", SCMP_ACT_TRAP, true, false);
    emit("filter_udp_kill", SCMP_ACT_KILL_PROCESS, false, true);
    emit("filter_udp_trap", SCMP_ACT_TRAP, false, true);
    emit("filter_view_udp_kill", SCMP_ACT_KILL_PROCESS, true, true);
    emit("filter_view_udp_trap", SCMP_ACT_TRAP, true, true);
    emit_classes();
    printf("enum { FILTER_CALLS = %u, FILTER_VIEW_CALLS = %u };\n", count_calls(false), count_calls(true));
    return 0;
}
