/* SPDX-License-Identifier: MIT */
/*
 * From a refusal to a question.  Nobody is asked about what a rule hides or guards, what holds secrets, the system's own
 * files for writing, or a directory that holds far more than was asked for: these stay refused.  So do names that the host
 * does not have.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/ask/ask.h"
#include "loader/explain/explain.h"

/* The reasons of refusals that a grant would mend. */
static bool may_be_mended(const struct refusal *refusal)
{
    static const char *const reasons[] = {"no mount shows it", "read-only"};
    if (refusal->absent || refusal->kind == DENIED_NETWORK)
        return true;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (!strcmp(refusal->reason, reasons[i]))
            return true;
    return false;
}

static bool is_ruled_out(const struct policy *policy, const char *path, bool writes)
{
    const struct guards *guards = &policy->mounts.guards;
    for (size_t i = 0; i < guards->count; i++)
        if ((writes || guards->list[i].kind == GUARD_HIDE) && guard_match_path(&guards->list[i], path, strlen(path)) == GUARD_WHOLE)
            return true;
    return policy_is_secret(path, policy->home) || policy_is_secret(path, getenv("HOME")) || advice_is_noise(path);
}

/* Does a private directory have it, made by the guest? */
static bool is_guests_own(struct policy *policy, const char *path)
{
    const struct mount *mount = mount_table_find(&policy->mounts, path, strlen(path));
    int fd = mount && mount->kind == MOUNT_SCRATCH && mount->root >= 0 && strlen(path) > mount->at_size
                 ? object_find(mount->root, path + mount->at_size + 1, O_NOFOLLOW) : -ENOENT;
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The object's path without symlinks, of what may be asked about; NULL: not that. */
static char *real_of(const struct policy *policy, const char *path, bool writes)
{
    char real[PAL_PATH_MAX];
    int fd = mount_source(&policy->mounts, path, real);
    if (fd < 0)
        return NULL;
    close(fd);
    return is_ruled_out(policy, real, writes) ? NULL : must_copy(real);
}

static bool exists(const struct policy *policy, const char *path, bool writes)
{
    char *real = real_of(policy, path, writes);
    free(real);
    return real != NULL;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? must_copy("/") : must_print("%.*s", (int)(slash - path), path);
}

/* A directory of the program's, as a report would advise it, else the path alone. */
static bool find_path(struct policy *policy, const struct refusal *refusal, struct question *out)
{
    const char *why_not;
    bool writes = refusal->kind == DENIED_WRITE;
    char *parent = parent_of(refusal->path), *granted = NULL;
    bool there = exists(policy, refusal->path, writes), may = there || (writes && exists(policy, parent, writes));
    free(parent);
    if (!may || is_ruled_out(policy, refusal->path, writes) ||
        mount_table_is_libos(&policy->mounts, refusal->path, refusal->size))
        return false;
    free(advice_option(policy, refusal->path, writes, &granted, &why_not));
    if (granted && strcmp(granted, refusal->path) != 0 && is_guests_own(policy, granted)) {
        free(granted); /* what the guest made there must not vanish */
        granted = there ? must_copy(refusal->path) : NULL;
    }
    char *real = granted ? real_of(policy, granted, writes) : NULL;
    if (!real || advice_is_wide(real, policy)) {
        free(granted);
        free(real);
        return false;
    }
    out->name = must_copy(refusal->path);
    out->grants = granted;
    out->real = real;
    return true;
}

/* What --net would be given. */
static bool find_host(const struct policy *policy, const struct refusal *refusal, struct question *out)
{
    if (policy->network.mode != NETWORK_RULES)
        return false;
    out->name = must_copy(refusal->path);
    out->grants = must_copy(refusal->path);
    out->real = NULL;
    return true;
}

bool candidate_find(struct policy *policy, const struct refusal *refusal, struct question *out)
{
    char shown[SHOWN_MAX + 1];
    *out = (struct question){.kind = refusal->kind, .reason = refusal->reason, .waiting = -1, .hold = -1};
    if (!may_be_mended(refusal) || !name_shown(refusal->path, shown))
        return false;
    return refusal->kind == DENIED_NETWORK ? find_host(policy, refusal, out) : find_path(policy, refusal, out);
}
