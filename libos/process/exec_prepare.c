/* SPDX-License-Identifier: MIT */
/*
 * exec up to the point of no return: the file is opened, `#!` lines are followed, ELF headers checked, the strings
 * copied.  Nothing of the running program has changed when this fails.  Errors come in the order of Linux's
 * fs/exec.c, fs/binfmt_script.c and fs/binfmt_elf.c.
 */
#include "libos/process/exec_prepare.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"
#include "libos/mm/vma.h"
#include "libos/process/process.h"

#define STRING_MAX 131072u         /* MAX_ARG_STRLEN */
#define STRINGS_MIN 131072ull      /* ARG_MAX */
#define STRINGS_MAX (6ull << 20)   /* three quarters of _STK_LIM */
#define STRINGS_FIRST 8000ull
#define SCRIPT_DEPTH 5
#define SCRIPT_LINE 256            /* BINPRM_BUF_SIZE */

static char *copy_string(const char *s)
{
    return alloc_copy(s, strlen(s) + 1);
}

void exec_drop(struct exec_image *image)
{
    elf_drop(&image->program);
    elf_drop(&image->interpreter);
    if (image->opened)
        file_put(image->opened);
    release(image->given);
    release(image->front);
    release(image->strings);
    release(image->table);
    release(image);
}

/* ---- Strings ---- */

static int64_t make_room(struct exec_image *image, uint64_t size)
{
    uint64_t capacity = image->capacity ? image->capacity : STRINGS_FIRST;
    while (capacity - image->size < size)
        capacity *= 2;
    if (capacity == image->capacity)
        return 0;
    char *more = alloc(capacity);
    if (!more)
        return -ENOMEM;
    if (image->size)
        memcpy(more, image->strings, image->size);
    release(image->strings);
    image->strings = more;
    image->capacity = capacity;
    return 0;
}

static int64_t account(struct exec_image *image, uint64_t size)
{
    uint64_t cost = size + sizeof(guest_t);
    if (cost > image->room)
        return -E2BIG;
    image->room -= cost;
    image->size += size;
    return 0;
}

static int64_t add_string(struct exec_image *image, const char *s)
{
    uint64_t size = strlen(s) + 1;
    int64_t error = make_room(image, size);
    if (error < 0)
        return error;
    memcpy(image->strings + image->size, s, size);
    return account(image, size);
}

static int64_t add_guest_string(struct exec_image *image, guest_t from)
{
    for (uint64_t size = 256;; size = STRING_MAX) {
        int64_t error = make_room(image, size);
        if (error < 0)
            return error;
        uint64_t space = MIN(image->capacity - image->size, STRING_MAX);
        int64_t n = copy_in_string(image->strings + image->size, from, space);
        if (n >= 0)
            return account(image, (uint64_t)n + 1);
        if (n != -ENAMETOOLONG)
            return n;
        if (space == STRING_MAX)
            return -E2BIG;
    }
}

/* vector: a guest array of addresses, NULL-terminated; 0 counts as empty, as Linux has it. */
static int64_t add_guest_strings(struct exec_image *image, guest_t vector, uint64_t *count)
{
    guest_t addresses[32];
    if (!vector)
        return 0;
    for (;;) {
        size_t n = copy_in_some(addresses, vector, sizeof addresses) / sizeof addresses[0];
        if (n == 0)
            return -EFAULT;
        for (size_t i = 0; i < n; i++) {
            if (!addresses[i])
                return 0;
            int64_t error = add_guest_string(image, addresses[i]);
            if (error < 0)
                return error;
            ++*count;
        }
        vector += n * sizeof addresses[0];
    }
}

static int64_t add_strings(struct exec_image *image, const char *const *vector, uint64_t *count)
{
    for (; *vector; vector++, ++*count) {
        int64_t error = add_string(image, *vector);
        if (error < 0)
            return error;
    }
    return 0;
}

/* ---- Scripts ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* First byte of [at, last] that is no blank, or NULL; likewise the first blank or NUL. */
static char *skip_blanks(char *at, const char *last)
{
    for (; at <= last; at++)
        if (!is_blank(*at))
            return at;
    return NULL;
}

static char *find_end(char *at, const char *last)
{
    for (; at <= last; at++)
        if (is_blank(*at) || !*at)
            return at;
    return NULL;
}

/* load_script's reading of the first line: line has SCRIPT_LINE bytes, NUL-filled.  NULs are set in it. */
static int64_t parse_line(char *line, char **name, char **argument)
{
    char *last = line + SCRIPT_LINE - 1, *end = NULL;
    for (char *at = line; at <= last && *at && !end; at++)
        if (*at == '\n')
            end = at;
    if (!end) { /* a name that may be cut off is no name */
        char *start = skip_blanks(line + 2, last);
        if (!start || !find_end(start, last))
            return -ENOEXEC;
        end = last;
    }
    while (is_blank(end[-1]))
        end--;
    *name = skip_blanks(line + 2, end);
    if (!*name || *name == end)
        return -ENOEXEC;
    char *separator = find_end(*name, end);
    *argument = separator && *separator ? skip_blanks(separator, end) : NULL;
    *end = '\0';
    if (*argument)
        *separator = '\0';
    return 0;
}

static int64_t put_in_front(struct exec_image *image, const char *s)
{
    uint64_t size = strlen(s) + 1;
    if (size + sizeof(guest_t) > image->room || size > image->front_at)
        return -E2BIG;
    image->room -= size + sizeof(guest_t);
    image->front_at -= size;
    memcpy(image->front + image->front_at, s, size);
    image->front_count++;
    return 0;
}

/* Puts "INTERPRETER [ARGUMENT]" before what is there; the first script's own name replaces argv[0]. */
static int64_t add_script(struct exec_image *image, const char *name, const char *argument)
{
    int64_t error = 0;
    if (!image->front) {
        image->front = alloc(FRONT_SIZE);
        if (!image->front)
            return -ENOMEM;
        image->front_at = FRONT_SIZE;
        image->first = strlen(image->strings) + 1;
        image->arg_count--;
        error = put_in_front(image, image->given);
    }
    if (error == 0 && argument)
        error = put_in_front(image, argument);
    return error == 0 ? put_in_front(image, name) : error;
}

/* ---- Files ---- */

/* hint: PAL_OPEN_START or 0. */
static int64_t open_program(struct name *name, uint32_t hint, struct file **out)
{
    int64_t error = name_open(name, O_RDONLY | (name->nofollow ? O_NOFOLLOW : 0), 0, PAL_OPEN_EXECUTE | hint, out);
    if (error < 0)
        return error;
    if ((*out)->type == PAL_TYPE_FILE)
        return 0;
    file_put(*out);
    return -EACCES;
}

/* A path of a file's own, perhaps relative: to the current directory. */
static int64_t open_named(const char *path, uint32_t hint, struct file **out)
{
    NAME(name);
    int64_t error = path[0] ? name_from_text(path, &name) : -ENOENT;
    return error < 0 ? error : open_program(&name, hint, out);
}

static int64_t load_interpreter(struct exec_image *image, const char *name, char *head)
{
    char *its_own = NULL;
    struct file *file;
    int64_t error = open_named(name, 0, &file);
    if (error < 0)
        return error;
    int64_t size = file_read_at(file, head, ELF_HEAD_SIZE, 0);
    if (size >= (int64_t)sizeof(struct elf_header))
        error = elf_check(file, head, (uint64_t)size, &image->interpreter, &its_own);
    else
        error = size < 0 ? size : -EIO;
    if (error == 0)
        error = elf_check_range(&image->interpreter);
    release(its_own);
    if (error < 0) {
        file_put(file);
        return error == -ENOEXEC || error == -EINVAL ? -ELIBBAD : error;
    }
    image->interpreter.file = file;
    return 0;
}

/* image->opened is a script: head has its first bytes.  Its interpreter takes its place. */
static int64_t follow_script(struct exec_image *image, char *head, uint64_t size)
{
    char *name, *argument;
    if (size < SCRIPT_LINE)
        memset(head + size, 0, SCRIPT_LINE - size);
    int64_t error = parse_line(head, &name, &argument);
    if (error == 0)
        error = add_script(image, name, argument);
    if (error != 0)
        return error;
    file_put(image->opened);
    image->opened = NULL;
    error = open_named(name, 0, &image->opened);
    return error < 0 ? error : 1;
}

/* One step of search_binary_handler: 0 the file is ELF and checked; 1 it was a script, image->opened is the next. */
static int64_t load_step(struct exec_image *image)
{
    char head[ELF_HEAD_SIZE], *interpreter;
    int64_t size = file_read_at(image->opened, head, sizeof head, 0);
    if (size < 0)
        return size;
    if (size >= 2 && head[0] == '#' && head[1] == '!')
        return follow_script(image, head, (uint64_t)size);
    int64_t error = elf_check(image->opened, head, (uint64_t)size, &image->program, &interpreter);
    if (error < 0)
        return error;
    image->program.file = image->opened;
    image->opened = NULL;
    if (interpreter)
        error = load_interpreter(image, interpreter, head);
    release(interpreter);
    return error < 0 ? error : elf_check_range(&image->program);
}

static int64_t load(struct exec_image *image)
{
    for (int depth = 0;; depth++) {
        int64_t result = load_step(image);
        if (result <= 0)
            return result;
        if (depth == SCRIPT_DEPTH)
            return -ELOOP;
    }
}

/* ---- Prepare ---- */

static struct exec_image *image_new(const char *given)
{
    struct exec_image *image = alloc_zero(sizeof *image);
    if (!image)
        return NULL;
    uint64_t stack = mm_limit(RLIMIT_STACK);
    image->room = MAX(MIN(stack / 4, STRINGS_MAX), STRINGS_MIN);
    image->stack_size = PAGE_UP(MAX(MIN(stack, STACK_SIZE_MAX), STACK_SIZE_MIN));
    image->given = copy_string(given);
    if (!image->given || make_room(image, 1) < 0) {
        exec_drop(image);
        return NULL;
    }
    return image;
}

/* All strings are in: what is left to fail. */
static int64_t finish(struct exec_image *image)
{
    int64_t error = load(image);
    if (error < 0)
        return error;
    uint64_t words = 1 + image->front_count + image->arg_count + 1 + image->env_count + 1 + 2 * AUXILIARY_MAX;
    image->table = alloc(words * sizeof image->table[0]);
    if (!image->table)
        return -ENOMEM;
    uint64_t used = image->size + FRONT_SIZE + PAL_PATH_MAX + words * sizeof image->table[0];
    image->stack_size = MAX(image->stack_size, PAGE_UP(used) + STACK_SIZE_MIN / 2);
    return PAL->random((uint64_t)(uintptr_t)image->random, sizeof image->random);
}

int64_t exec_prepare(struct name *name, const char *given, guest_t argv, guest_t envp, struct exec_image **out)
{
    struct exec_image *image = image_new(given);
    if (!image)
        return -ENOMEM;
    /* That it is there comes before bad arguments. */
    int64_t error = open_program(name, PAL_OPEN_START, &image->opened);
    if (error == 0)
        error = add_guest_strings(image, argv, &image->arg_count);
    if (error == 0 && image->arg_count == 0) { /* since Linux 5.18 */
        error = add_string(image, "");
        image->arg_count = 1;
    }
    if (error == 0)
        error = add_guest_strings(image, envp, &image->env_count);
    if (error == 0)
        error = finish(image);
    if (error < 0)
        exec_drop(image);
    else
        *out = image;
    return error;
}

int64_t exec_prepare_strings(const char *program, const char *const *argv, const char *const *envp,
                             struct exec_image **out)
{
    struct exec_image *image = image_new(program);
    if (!image)
        return -ENOMEM;
    int64_t error = open_named(program, PAL_OPEN_START, &image->opened);
    if (error == 0)
        error = add_strings(image, argv, &image->arg_count);
    if (error == 0 && image->arg_count == 0) {
        error = add_string(image, program);
        image->arg_count = 1;
    }
    if (error == 0)
        error = add_strings(image, envp, &image->env_count);
    if (error == 0)
        error = finish(image);
    if (error < 0)
        exec_drop(image);
    else
        *out = image;
    return error;
}
