/* SPDX-License-Identifier: MIT */
/*
 * What `always` writes: into the manifest of the run, or into one that has nothing but answers and is read on top of any
 * policy.  The text is changed as a person would change it, parsed before it is taken, and put in place whole.  A file that
 * guests may write is neither read nor written: they would grant themselves what the next run gets.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/ask/ask.h"
#include "loader/explain/explain.h"

#define TEXT_MAX 32768 /* of a manifest: policy/manifest.c */

/* Without symlinks; of one that is not there yet, its directory.  NULL: there is no such directory. */
static char *real_path(const char *file)
{
    char real[PATH_MAX], *copy = must_copy(file), *slash = strrchr(copy, '/');
    char *result = NULL;
    if (realpath(file, real)) {
        result = must_copy(real);
    } else if (errno == ENOENT) {
        if (slash)
            *slash = 0;
        if (realpath(!slash ? "." : *copy ? copy : "/", real))
            result = must_print("%s/%s", strcmp(real, "/") ? real : "", slash ? slash + 1 : file);
    }
    free(copy);
    return result;
}

static bool guests_may_write(const struct policy *policy, const char *real)
{
    for (size_t i = 0; i < policy->mounts.count; i++) {
        const struct mount *mount = &policy->mounts.mounts[i];
        if (mount->kind == MOUNT_HOST && mount->writable && policy_lies_in(mount, real) >= 0)
            return true;
    }
    return false;
}

static const char *place; /* where answers are kept, without symlinks: later, a guest may have changed what leads there */

void keep_find(const char *file)
{
    place = file ? real_path(file) : NULL;
}

void keep_load(struct policy *policy, const char *file)
{
    static struct manifest manifest;
    char *real = real_path(file);
    if (!real)
        fail(EXIT_OWN_FAILURE, "--ask-keep %s: %s", file, strerror(errno));
    if (guests_may_write(policy, real))
        fail(EXIT_OWN_FAILURE, "--ask-keep %s: the guest can write it: choose a file elsewhere", file);
    if (access(real, F_OK) < 0) {
        free(real);
        return;
    }
    manifest_load(real, &manifest);
    if (manifest.program || manifest.environment_count || manifest.extends || manifest.guard_count)
        fail(EXIT_OWN_FAILURE, "--ask-keep %s: only [[mounts]] and [network] are allowed in it: use -m for a manifest", file);
    for (size_t i = 0; i < manifest.mount_count; i++) {
        const struct mount *kept = &manifest.mounts[i], *known = mount_table_exact(&policy->mounts, kept->at, kept->at_size);
        if (kept->kind != MOUNT_HOST || (known && known->writable))
            continue;
        struct mount *mount = mount_table_add(&policy->mounts, MOUNT_HOST, kept->at, kept->from, kept->writable);
        if (!mount)
            fail(EXIT_OWN_FAILURE, "--ask-keep %s: too many mounts", file);
        mount->granted = true;
    }
    const char *error = network_merge(&policy->network, &manifest.network);
    if (error)
        fail(EXIT_OWN_FAILURE, "--ask-keep %s: [network]: %s", file, error);
    free(real);
}

/* ---- The text ---------------------------------------------------------------------------------------------------- */

static void put_mount(FILE *out, const char *text, const struct question *question)
{
    fprintf(out, "%s\n[[mounts]] # an answer to --ask\nat = ", text);
    toml_put_string(out, question->grants);
    if (strcmp(question->real, question->grants) != 0) {
        fprintf(out, "\nfrom = ");
        toml_put_string(out, question->real);
    }
    fprintf(out, "%s", question->kind == DENIED_WRITE ? "\naccess = \"rw\"\n" : "\n");
}

static const char *line_with(const char *text, const char *begin)
{
    size_t size = strlen(begin);
    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (!strncmp(at, begin, size))
            return at;
        if (at[0] == '[' && at != text) /* another table: only for keys */
            if (begin[0] != '[')
                return NULL;
    }
    return NULL;
}

static void put_rule(FILE *out, const char *text, const struct question *question)
{
    const char *table = line_with(text, "[network]"), *body = table ? table + strlen("[network]") : NULL;
    const char *key = body ? line_with(body, "allow") : NULL, *bracket = key ? strchr(key, '[') : NULL;
    const char *at = bracket ? bracket + 1 : body;
    if (!at) {
        fprintf(out, "%s\n[network]\nallow = [", text);
        toml_put_string(out, question->grants);
        fprintf(out, "]\n");
        return;
    }
    fprintf(out, "%.*s%s", (int)(at - text), text, bracket ? "" : "\nallow = [");
    toml_put_string(out, question->grants);
    fprintf(out, "%s%s", bracket ? ", " : "]", at);
}

static const char *write_file(const char *real, const char *text, size_t size)
{
    struct stat status;
    char *temporary = must_print("%s.pal-run-%d", real, (int)getpid());
    mode_t mode = stat(real, &status) == 0 ? status.st_mode & 0777 : 0600;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    bool done = fd >= 0 && write(fd, text, size) == (ssize_t)size && rename(temporary, real) == 0;
    int error = errno;
    if (fd >= 0 && !done)
        unlink(temporary);
    if (fd >= 0)
        close(fd);
    free(temporary);
    return done ? NULL : strerror(error);
}

static size_t read_file(const char *real, char text[TEXT_MAX + 1])
{
    int fd = open(real, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, TEXT_MAX);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = 0;
    return size > 0 ? (size_t)size : 0;
}

const char *keep_add(const struct policy *policy, const char *file, const struct question *question)
{
    static struct manifest before, after;
    static char text[TEXT_MAX + 1];
    char *made = NULL, *error = NULL;
    const char *wrong = NULL;
    size_t size = 0;
    if (!place || guests_may_write(policy, place))
        return place ? "the program can write it now" : "there is no such directory";
    read_file(place, text);
    FILE *out = open_memstream(&made, &size);
    if (!out)
        fail(EXIT_OWN_FAILURE, "no memory");
    if (question->kind == DENIED_NETWORK)
        put_rule(out, text, question);
    else
        put_mount(out, text, question);
    fclose(out);
    bool was = !manifest_parse(file, text, strlen(text), &before);
    error = manifest_parse(file, made, size, &after);
    bool more = was && !error && after.mount_count + after.network.rule_count == before.mount_count + before.network.rule_count + 1;
    wrong = error ? error : more ? write_file(place, made, size) : "it is not written as pal-run can change it";
    free(made);
    return wrong;
}
