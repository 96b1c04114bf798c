/* SPDX-License-Identifier: MIT */
/*
 * A repository's settings (.git/config) name programs that git runs: core.fsmonitor, core.sshCommand, aliases, filters.
 * Guests may make repositories, remotes and branches, though, and git writes those there.
 *
 * Git writes a new file and renames it to the old one's name.  So both texts are at hand when the monitor is asked for that:
 * what no program acts on may change, everything else must be the same, in the same order.  The new file is then written by
 * the monitor, since the guest may have its own open still.  What is not understood to the last byte is refused.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

#define CONFIG_MAX (256u << 10)
#define ENTRIES_MAX 4096
#define FRESH_NAME SCRATCH_PREFIX "config-config-c" /* which no guest can name */
_Static_assert(sizeof FRESH_NAME - 1 == SCRATCH_NAME_SIZE, "a private name");

struct entry {
    const char *section, *name; /* section: lower case; name: of [remote "name"], or NULL */
    const char *key, *value;    /* key: lower case; value: NULL where there is no '=' */
    bool harmless;
};
struct config {
    char *text;
    struct entry *entries;
    size_t count;
};

static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    size_t size = strlen(text);
    while (size && strchr(" \t\r", text[size - 1]))
        text[--size] = 0;
    return text;
}

static bool is_made_of(const char *text, const char *others)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr(others, *text))
            return false;
    return true;
}

static void lower(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

/* "[section]" or "[section "name"]", and nothing behind. */
static bool read_header(char *line, struct entry *current)
{
    size_t size = strlen(line);
    if (line[size - 1] != ']')
        return false;
    line[size - 1] = 0;
    char *section = line + 1, *name = strchr(section, ' ');
    current->name = NULL;
    if (name) {
        *name++ = 0;
        name = trim(name);
        size_t length = strlen(name);
        if (length < 3 || name[0] != '"' || name[length - 1] != '"')
            return false;
        name[length - 1] = 0;
        current->name = ++name;
        if (!is_made_of(name, "._/-+@:"))
            return false;
    }
    lower(section);
    current->section = section;
    return is_made_of(section, ".-");
}

static bool read_entry(char *line, struct entry *out)
{
    char *equals = strchr(line, '=');
    out->value = NULL;
    if (equals) {
        *equals = 0;
        out->value = trim(equals + 1);
    }
    char *key = trim(line);
    lower(key);
    out->key = key;
    return is_made_of(key, "-");
}

static bool is_plain_url(const char *url)
{
    return url[0] != '-' && !strstr(url, "::") && is_made_of(url, ":/._-+@~%,");
}

/* May it come, go and change? */
static bool is_harmless(const struct entry *entry)
{
    static const char *const core[] = {"repositoryformatversion", "filemode", "bare", "logallrefupdates", "ignorecase",
                                       "precomposeunicode", "symlinks"};
    const char *value = entry->value;
    if (!value || strlen(value) > 1024)
        return false;
    if (!entry->name && !strcmp(entry->section, "core"))
        for (size_t i = 0; i < sizeof core / sizeof *core; i++)
            if (!strcmp(entry->key, core[i]))
                return is_made_of(value, "");
    if (!entry->name && !strcmp(entry->section, "extensions"))
        return (!strcmp(entry->key, "objectformat") || !strcmp(entry->key, "refstorage")) && is_made_of(value, "");
    if (!entry->name && !strcmp(entry->section, "user"))
        return (!strcmp(entry->key, "name") || !strcmp(entry->key, "email")) && is_made_of(value, " .@_+-");
    if (entry->name && !strcmp(entry->section, "branch"))
        return (!strcmp(entry->key, "remote") && is_made_of(value, "._-") && strcmp(value, "..") != 0) ||
               (!strcmp(entry->key, "merge") && is_made_of(value, "./_+-@"));
    if (entry->name && !strcmp(entry->section, "remote"))
        return (!strcmp(entry->key, "url") && is_plain_url(value)) ||
               (!strcmp(entry->key, "fetch") && is_made_of(value, "+*:/._-@"));
    return false;
}

static bool parse(const char *text, size_t size, struct config *out)
{
    struct entry current = {.section = NULL};
    if (size > CONFIG_MAX || memchr(text, 0, size))
        return false;
    out->text = strndup(text, size);
    out->entries = calloc(ENTRIES_MAX, sizeof *out->entries);
    char *rest = out->text, *line;
    while (out->entries && (line = strsep(&rest, "\n"))) {
        line = trim(line);
        if (!*line)
            continue;
        if (line[strlen(line) - 1] == '\\')
            return false; /* it goes on */
        if (*line == '#' || *line == ';')
            continue;
        if (*line == '[') {
            if (!read_header(line, &current))
                return false;
            continue;
        }
        if (!current.section || out->count == ENTRIES_MAX || !read_entry(line, &current))
            return false;
        current.harmless = is_harmless(&current);
        out->entries[out->count++] = current;
    }
    return out->entries != NULL;
}

static void release(struct config *config)
{
    free(config->text);
    free(config->entries);
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* What a remote had already stays as it is: pushes go where they went. */
static bool is_known_remote(const struct config *config, const struct entry *entry)
{
    if (strcmp(entry->section, "remote") != 0)
        return false;
    for (size_t i = 0; i < config->count; i++)
        if (!strcmp(config->entries[i].section, "remote") && is_same(config->entries[i].name, entry->name) &&
            !strcmp(config->entries[i].key, entry->key))
            return true;
    return false;
}

static const struct entry *next(const struct config *config, const struct config *was, size_t *at)
{
    for (; *at < config->count; (*at)++)
        if (!config->entries[*at].harmless || is_known_remote(was, &config->entries[*at]))
            return &config->entries[(*at)++];
    return NULL;
}

bool git_config_allows(const char *was, size_t was_size, const char *now, size_t now_size)
{
    struct config old = {.count = 0}, new = {.count = 0};
    bool allowed = parse(was, was_size, &old) && parse(now, now_size, &new);
    size_t i = 0, j = 0;
    while (allowed) {
        const struct entry *a = next(&old, &old, &i), *b = next(&new, &old, &j);
        if (!a || !b) {
            allowed = a == b;
            break;
        }
        allowed = is_same(a->section, b->section) && is_same(a->name, b->name) && is_same(a->key, b->key) &&
                  is_same(a->value, b->value);
    }
    release(&old);
    release(&new);
    return allowed;
}

/* Its bytes, allocated; NULL: it is no plain file, or too large.  *size 0 where it is missing and may be. */
static char *read_file(int directory, const char *name, size_t *size, mode_t *mode)
{
    struct stat status;
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    *size = 0;
    if (fd < 0)
        return errno == ENOENT ? must_copy("") : NULL;
    char *text = NULL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= CONFIG_MAX) {
        text = must_allocate(CONFIG_MAX + 1);
        ssize_t got = read(fd, text, CONFIG_MAX + 1); /* it may grow meanwhile: then the parser refuses it */
        *size = got > 0 ? (size_t)got : 0;
        *mode = status.st_mode & 0666;
    }
    close(fd);
    return text;
}

static int replace(int directory, const char *name, const char *text, size_t size, mode_t mode)
{
    unlinkat(directory, FRESH_NAME, 0);
    int fd = openat(directory, FRESH_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    bool whole = write(fd, text, size) == (ssize_t)size && fchmod(fd, mode) == 0;
    close(fd);
    if (whole && renameat(directory, FRESH_NAME, directory, name) == 0)
        return 0;
    unlinkat(directory, FRESH_NAME, 0);
    return -EIO;
}

int git_config_install(int source, const char *from, int target, const char *to)
{
    size_t was_size, now_size;
    mode_t mode = 0644, ignored;
    char *was = read_file(target, to, &was_size, &ignored), *now = read_file(source, from, &now_size, &mode);
    int error = was && now && git_config_allows(was, was_size, now, now_size)
                    ? replace(target, to, now, now_size, mode) : -EACCES;
    if (!error)
        unlinkat(source, from, 0);
    free(was);
    free(now);
    return error;
}
