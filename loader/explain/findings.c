/* SPDX-License-Identifier: MIT */
/*
 * From the monitor's record to what is worth telling: what is on the host, was looked for, and was not shown.  The host is
 * looked at here, after the sandbox has ended, by whether a path exists and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/explain/explain.h"

#define TEXT_MAX (1u << 20) /* of a program that is searched for names of variables */
#define TEXTS_MAX 4

static bool is_on_host(const char *path)
{
    struct stat status;
    return fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0;
}

static bool parent_is_on_host(const char *path)
{
    char parent[PAL_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash == path ? 1 : (size_t)(slash - path);
    memcpy(parent, path, size);
    parent[size] = 0;
    return is_on_host(parent);
}

/* Another finding's option may allow it already, or the other's be allowed by this one's. */
static bool merge(struct findings *out, const struct finding *new)
{
    for (size_t i = 0; i < out->count && new->granted; i++) {
        struct finding *old = &out->list[i];
        if (!old->granted || old->noise != new->noise || (old->kind == FOUND_READ && new->kind == FOUND_WRITE))
            continue;
        if (path_is_within(new->granted, strlen(new->granted), old->granted, strlen(old->granted))) {
            old->more++;
            return true;
        }
        if (old->kind == new->kind && path_is_within(old->granted, strlen(old->granted), new->granted, strlen(new->granted))) {
            size_t more = old->more + 1;
            *old = *new;
            old->more = more;
            return true;
        }
    }
    return false;
}

static void add(struct findings *out, struct finding *new)
{
    if (out->count == FINDINGS_MAX) {
        out->left_out++;
        return;
    }
    if (merge(out, new))
        return;
    out->noise += new->noise;
    out->list[out->count++] = *new;
}

static void add_path(const struct policy *policy, struct findings *out, const struct denial *denial)
{
    bool writes = denial->kind == DENIED_WRITE;
    if (!is_on_host(denial->path) && !(writes && parent_is_on_host(denial->path)))
        return;
    struct finding new = {.kind = writes ? FOUND_WRITE : FOUND_READ, .reason = denial->reason};
    const struct mount *mount = mount_table_find(&policy->mounts, denial->path, strlen(denial->path));
    new.path = denial->path;
    new.shown = advice_shown(denial->path, false);
    new.noise = advice_is_noise(denial->path);
    if (mount && mount->kind == MOUNT_HOST && strcmp(mount->at, mount->from) != 0)
        new.reason = "the mount there is read-only";
    else if (strcmp(denial->reason, GUARDED_REASON) != 0 && strcmp(denial->reason, HIDDEN_REASON) != 0)
        new.option = advice_option(policy, denial->path, writes, &new.granted, &new.reason);
    add(out, &new);
}

static void add_host(struct findings *out, const struct denial *denial)
{
    struct finding new = {.kind = FOUND_CONNECT, .path = denial->path, .shown = denial->path, .reason = denial->reason};
    new.option = must_print("--net %s", denial->path);
    for (size_t i = 0; i < out->count; i++)
        if (out->list[i].option && !strcmp(out->list[i].option, new.option))
            return;
    add(out, &new);
}

/* ---- Variables --------------------------------------------------------------------------------------------------- */

static bool is_word(char letter)
{
    return letter == '_' || (letter >= '0' && letter <= '9') || ((letter | 32) >= 'a' && (letter | 32) <= 'z');
}

static bool text_names(const char *text, size_t size, const char *name, size_t name_size)
{
    const char *at = text, *end = text + size;
    while ((at = memmem(at, (size_t)(end - at), name, name_size))) {
        bool begins = at == text || !is_word(at[-1]), ends = at + name_size == end || !is_word(at[name_size]);
        if (begins && ends)
            return true;
        at++;
    }
    return false;
}

/* What the user's shell sets for itself, or for any terminal. */
static bool is_shells(const char *name, size_t size)
{
    static const char *const own[] = {"_",        "OLDPWD", "SHLVL",   "PS1",     "PS2",      "PS4",     "HISTSIZE", "HISTFILE",
                                      "HISTCONTROL", "HISTFILESIZE", "LS_COLORS", "LESSOPEN", "LESSCLOSE", "PROMPT_COMMAND", "MAIL",
                                      "MAILCHECK", "HOSTNAME", "HOSTTYPE", "MACHTYPE", "OSTYPE", "DISPLAY", "EDITOR", "PAGER", "IFS",
                                      "LESS", "VISUAL", "BASH", "ENV", "BASH_ENV", "INPUTRC", "POSIXLY_CORRECT"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strlen(own[i]) == size && !memcmp(own[i], name, size))
            return true;
    return size < 3;
}

struct text { const char *bytes; size_t size; };

/* The program's own file, and files that its arguments name: a script behind its interpreter.  Never a large one. */
static size_t map_texts(const struct policy *policy, struct text texts[TEXTS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < 16 && count < TEXTS_MAX && policy->argv[i]; i++) {
        const char *path = i ? policy->argv[i] : policy->program;
        struct stat status;
        int fd = path && path[0] && path[0] != '-' ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
        if (fd < 0)
            continue;
        if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 && status.st_size <= TEXT_MAX) {
            void *bytes = must_allocate((size_t)status.st_size);
            ssize_t size = read(fd, bytes, (size_t)status.st_size);
            /* An interpreter names variables of its own. */
            bool is_program = size > 4 && !memcmp(bytes, "\177ELF", 4);
            if (size > 0 && !(is_program && policy->argv[1]))
                texts[count++] = (struct text){bytes, (size_t)size};
        }
        close(fd);
    }
    return count;
}

static void add_variables(const struct policy *policy, struct findings *out)
{
    struct text texts[TEXTS_MAX];
    size_t text_count = map_texts(policy, texts);
    for (size_t i = 0; text_count && environ[i]; i++) {
        size_t size = strcspn(environ[i], "=");
        char *name = must_print("%.*s", (int)size, environ[i]);
        bool named = false;
        for (size_t j = 0; j < text_count && !named && !is_shells(name, size) && !environment_get(policy, name); j++)
            named = text_names(texts[j].bytes, texts[j].size, name, size);
        if (named) {
            struct finding new = {.kind = FOUND_VARIABLE, .path = name, .shown = name, .reason = "not passed on"};
            new.option = must_print("--env %s", name);
            add(out, &new);
        } else {
            free(name);
        }
    }
}

void findings_collect(const struct policy *policy, struct findings *out)
{
    const struct denials *denials = &policy->mounts.denials;
    out->count = out->noise = out->left_out = 0;
    /* What is written first: its option allows reading, too. */
    for (int writes = 1; writes >= 0; writes--) {
        enum denial_kind kind = writes ? DENIED_WRITE : DENIED_READ;
        for (size_t i = 0; i < denials->kept; i++)
            if (denials->first[i].kind == kind)
                add_path(policy, out, &denials->first[i]);
        for (size_t i = 0; i < denials->absent_count; i++)
            if (denials->absent[i].path && denials->absent[i].kind == kind)
                add_path(policy, out, &denials->absent[i]);
    }
    add_variables(policy, out);
    for (size_t i = 0; i < denials->kept; i++)
        if (denials->first[i].kind == DENIED_NETWORK)
            add_host(out, &denials->first[i]);
}
