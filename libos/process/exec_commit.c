/* SPDX-License-Identifier: MIT */
/*
 * exec from the point of no return: the address space is laid out anew, the program mapped, its first stack built as
 * create_elf_tables does, the registers set.
 *
 *      stack top   8 zero bytes, AT_EXECFN, environment strings, argument strings, platform, random bytes,
 *                  auxv, envp, argv, argc   <- RSP, 16-byte aligned
 */
#include "libos/abi/signal.h"
#include "libos/process/exec_prepare.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"
#include "libos/mm/vma.h"
#include "libos/process/process.h"
#include "libos/signal/signal.h"

#define PIE_BASE 0x555555554000ull /* ELF_ET_DYN_BASE: two thirds of the address space */
#define RANDOM_PAGES_MMAP ((1ull << 28) - 1)
#define RANDOM_PAGES_STACK ((1ull << 22) - 1)
#define RANDOM_BRK (32ull << 20)
#define MMAP_GAP_MIN (128ull << 20)

enum random_use { RANDOM_GUEST_0, RANDOM_GUEST_1, RANDOM_MMAP, RANDOM_STACK, RANDOM_PROGRAM, RANDOM_BREAK };

static uint64_t random_pages(const struct exec_image *image, enum random_use use, uint64_t mask)
{
    return mm_no_randomize ? 0 : (image->random[use] & mask) * PAGE_SIZE;
}

/* What is on a mount that can't be written, nobody in the sandbox tries to. */
static void set_program(struct file *file)
{
    const struct mount *mount = file->path ? mount_of(file->path) : NULL;
    bool writable = !(mount && mount->flags & MOUNT_READ_ONLY) && file_identify(file) == 0;
    shared_program_set(current_process()->shared, writable ? file->device : 0, writable ? file->inode : 0);
}

/* Set-id bits count where a guest gave them: those of the host's files are the host's. */
static bool set_ids(struct file *file)
{
    struct pal_attributes own = {.mode = 0};
    uint32_t bits = 0;
    if (UNLIKELY(set_ids_any()) && file_attributes(file, &own) == 0)
        bits = set_id_get(own.device, own.inode);
    return credentials_exec(own.mode & S_IXGRP ? bits : bits & ~S_ISGID, own.uid, own.gid);
}

static void set_names(struct exec_image *image)
{
    image->secure = set_ids(image->program.file);
    exec_file_set(image->program.file);
    set_program(image->program.file);
    const char *slash = strrchr(image->given, '/');
    format(current()->name, sizeof current()->name, "%s", slash ? slash + 1 : image->given);
}

/* ---- The address space ---- */

static int64_t map_stack(const struct exec_image *image, guest_t *top)
{
    uint32_t protection = PROT_READ | PROT_WRITE | (image->program.stack_executable ? PROT_EXEC : 0);
    *top = mm_end() - PAGE_SIZE - random_pages(image, RANDOM_STACK, RANDOM_PAGES_STACK);
    /* Whole at once: its pages come when touched, and it never has to grow. */
    return mm_map(*top - image->stack_size, image->stack_size, protection,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE | MAP_GROWSDOWN, NULL, 0, "[stack]");
}

static void lay_out(const struct exec_image *image)
{
    uint64_t gap = MAX(image->stack_size, MMAP_GAP_MIN) + STACK_GUARD_GAP + RANDOM_PAGES_STACK * PAGE_SIZE;
    mm_layout_set(PAGE_DOWN(mm_end() - gap - random_pages(image, RANDOM_MMAP, RANDOM_PAGES_MMAP)));
}

static int64_t map_anywhere(struct elf *elf)
{
    guest_t at = elf->header.type == ET_EXEC ? 0 : mm_free_range(elf->high - elf->low, elf->align);
    return at || elf->header.type == ET_EXEC ? elf_map(elf, at) : -ENOMEM;
}

/* A program with an interpreter has a place of its own, far from the mappings and with room for brk; a static one that
 * can lie anywhere may itself be an interpreter that somebody runs by hand: with the mappings. */
static int64_t map_program(struct exec_image *image)
{
    if (image->program.header.type == ET_EXEC || !image->interpreter.file)
        return map_anywhere(&image->program);
    guest_t at = PIE_BASE + random_pages(image, RANDOM_PROGRAM, RANDOM_PAGES_MMAP);
    return elf_map(&image->program, at & ~(image->program.align - 1));
}

static guest_t place_break(const struct exec_image *image)
{
    guest_t at = image->program.end;
    if (image->program.header.type == ET_DYN && !image->interpreter.file)
        at = PIE_BASE;
    return PAGE_UP(at) + (random_pages(image, RANDOM_BREAK, RANDOM_BRK / PAGE_SIZE - 1));
}

/* ---- The first stack ---- */

struct stack {
    guest_t at;      /* next address, downwards */
    uint64_t *words; /* next of the table */
    int64_t error;
};

static guest_t push(struct stack *stack, const void *bytes, uint64_t size)
{
    stack->at -= size;
    if (size && copy_out(stack->at, bytes, size) < 0)
        stack->error = -EFAULT;
    return stack->at;
}

/* Addresses of `count` strings, of which the first lies at `at` and here at `strings`:
 * returns where the next would lie. */
static guest_t point_to(struct stack *stack, guest_t at, const char **strings, uint64_t count)
{
    while (count--) {
        uint64_t size = strlen(*strings) + 1;
        *stack->words++ = at;
        at += size;
        *strings += size;
    }
    return at;
}

static void auxiliary(struct stack *stack, uint64_t type, uint64_t value)
{
    *stack->words++ = type;
    *stack->words++ = value;
}

struct placed { guest_t vdso, name, platform, random; };

static void auxiliary_vector(struct stack *stack, const struct exec_image *image, const struct placed *placed)
{
    const struct elf *program = &image->program, *interpreter = &image->interpreter;
    const struct process *process = current_process();
    if (placed->vdso)
        auxiliary(stack, AT_SYSINFO_EHDR, placed->vdso);
    auxiliary(stack, AT_MINSIGSTKSZ, boot->minimum_signal_stack);
    auxiliary(stack, AT_HWCAP, boot->hwcap);
    auxiliary(stack, AT_PAGESZ, PAGE_SIZE);
    auxiliary(stack, AT_CLKTCK, 100);
    auxiliary(stack, AT_PHDR, program->segments_at);
    auxiliary(stack, AT_PHENT, sizeof(struct elf_segment));
    auxiliary(stack, AT_PHNUM, program->header.phnum);
    auxiliary(stack, AT_BASE, interpreter->file ? interpreter->bias : 0);
    auxiliary(stack, AT_FLAGS, 0);
    auxiliary(stack, AT_ENTRY, program->entry);
    auxiliary(stack, AT_UID, process->uid);
    auxiliary(stack, AT_EUID, process->euid);
    auxiliary(stack, AT_GID, process->gid);
    auxiliary(stack, AT_EGID, process->egid);
    auxiliary(stack, AT_SECURE, image->secure);
    auxiliary(stack, AT_RANDOM, placed->random);
    auxiliary(stack, AT_HWCAP2, boot->hwcap2);
    auxiliary(stack, AT_EXECFN, placed->name);
    auxiliary(stack, AT_PLATFORM, placed->platform);
    auxiliary(stack, AT_NULL, 0);
}

static int64_t build_stack(const struct exec_image *image, guest_t top, struct mm_facts *facts, guest_t *out)
{
    struct stack stack = {.at = top - 8, .words = image->table};
    struct placed placed = {.vdso = vdso_map()};
    const char *front = image->front + image->front_at, *strings = image->strings + image->first;
    placed.name = push(&stack, image->given, strlen(image->given) + 1);
    guest_t rest = push(&stack, strings, image->size - image->first);
    guest_t first = push(&stack, front, image->front ? FRONT_SIZE - image->front_at : 0);
    placed.platform = push(&stack, "x86_64", 7);
    placed.random = push(&stack, &image->random[RANDOM_GUEST_0], 16);

    *stack.words++ = image->front_count + image->arg_count;
    if (image->front)
        point_to(&stack, first, &front, image->front_count);
    facts->arg_start = first;
    facts->arg_end = facts->env_start = point_to(&stack, rest, &strings, image->arg_count);
    *stack.words++ = 0;
    facts->env_end = point_to(&stack, facts->env_start, &strings, image->env_count);
    *stack.words++ = 0;
    const uint64_t *vector = stack.words;
    auxiliary_vector(&stack, image, &placed);

    uint64_t size = (uint64_t)(stack.words - image->table) * sizeof(uint64_t);
    stack.at = ((stack.at - size) & ~15ull) + size; /* RSP is aligned, not the strings */
    facts->stack_top = *out = push(&stack, image->table, size);
    facts->auxv = *out + (uint64_t)(vector - image->table) * sizeof(uint64_t);
    facts->auxv_size = (uint64_t)(stack.words - vector) * sizeof(uint64_t);
    return stack.error;
}

/* ---- Registers ---- */

static void reset_registers(struct frame *frame, guest_t entry, guest_t stack_pointer)
{
    vector_state_reset();
    fs_set(0);
    tcb()->has_guest_gs = 0;
    gs_reset();
    frame->regs = (struct pal_context){.rflags = 0x202, .rsp = stack_pointer};
    frame_set_rip(frame, entry);
}

static int64_t start(struct exec_image *image, guest_t *entry, guest_t *stack_pointer)
{
    struct elf *program = &image->program, *interpreter = &image->interpreter;
    struct mm_facts facts = {0};
    guest_t stack_top;
    mm_reset();
    lay_out(image);
    int64_t error = map_stack(image, &stack_top);
    if (error >= 0)
        error = map_program(image);
    if (error >= 0 && interpreter->file)
        error = map_anywhere(interpreter);
    if (error >= 0)
        error = build_stack(image, stack_top, &facts, stack_pointer);
    if (error < 0)
        return error;
    facts.brk_start = facts.brk_end = place_break(image);
    facts.code_start = program->code_start;
    facts.code_end = program->code_end;
    mm_facts_set(&facts);
    *entry = interpreter->file ? interpreter->entry : program->entry;
    return 0;
}

void exec_commit(struct exec_image *image, struct frame *frame)
{
    guest_t entry, stack_pointer;
    set_names(image);
    int64_t error = start(image, &entry, &stack_pointer);
    if (error < 0)
        log_line("pal-run: %s: cannot be loaded (errno %d)", image->given, (int)-error);
    exec_drop(image);
    if (error < 0)
        process_exit_group(SIGKILL); /* there is nothing to go back to: Linux does the same */
    reset_registers(frame, entry, stack_pointer);
}
