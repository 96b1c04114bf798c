/* SPDX-License-Identifier: MIT */
/*
 * The monitor's own record of what policy refused, apart from anything that a guest says.  A guest chooses what it asks
 * for, so the record is bounded; each distinct name is kept once.
 */
#include <stdlib.h>
#include <string.h>

#include "loader/loader.h"
#include "pal/hash.h"

#define ABSENT_REASON "hidden by a private directory"

static bool is_among(const uint64_t *hashes, size_t count, uint64_t hash)
{
    for (size_t i = 0; i < count; i++)
        if (hashes[i] == hash)
            return true;
    return false;
}

static uint64_t hash_of(enum denial_kind kind, const char *path, size_t size, const char *reason)
{
    return hash_bytes(path, size) + hash_bytes(reason, strlen(reason)) + kind;
}

static struct refusal *hold(struct denials *denials, enum denial_kind kind, const char *path, size_t size, const char *reason)
{
    struct refusal *refusal = &denials->refusal;
    *refusal = (struct refusal){.reason = size < sizeof refusal->path ? reason : NULL, .kind = kind};
    if (!refusal->reason)
        return refusal;
    refusal->size = size;
    memcpy(refusal->path, path, size);
    refusal->path[size] = 0;
    return refusal;
}

void denials_settle(struct denials *denials)
{
    struct refusal *refusal = &denials->refusal;
    bool asking = denials->asking;
    denials->asking = false;
    if (refusal->reason && refusal->absent)
        denials_add_absent(denials, refusal->kind, refusal->path, refusal->size);
    else if (refusal->reason && refusal->amends[0])
        denials_amend(denials, refusal->amends, refusal->path, refusal->reason);
    else if (refusal->reason)
        denials_add(denials, refusal->kind, refusal->path, refusal->size, refusal->reason);
    refusal->reason = NULL;
    denials->asking = asking;
}

void denials_add(struct denials *denials, enum denial_kind kind, const char *path, size_t size, const char *reason)
{
    if (denials->asking && !denials->ahead) {
        hold(denials, kind, path, size, reason);
        return;
    }
    denials->count++;
    if (denials->ahead || denials->kept == DENIALS_KEPT)
        return;
    uint64_t hash = hash_of(kind, path, size, reason);
    if (is_among(denials->hashes[0], denials->kept, hash))
        return;
    char *copy = strndup(path, size);
    if (!copy)
        return;
    denials->hashes[0][denials->kept] = hash;
    denials->first[denials->kept++] = (struct denial){copy, reason, kind};
    event_denied(kind, copy, reason);
}

void denials_add_absent(struct denials *denials, enum denial_kind kind, const char *path, size_t size)
{
    uint64_t hash = hash_bytes(path, size) + kind;
    if (denials->asking && !denials->ahead) {
        hold(denials, kind, path, size, ABSENT_REASON)->absent = true;
        return;
    }
    denials->count += denials->ahead; /* so that the answer is not sent ahead: it is told of when it is asked for */
    if (denials->ahead || is_among(denials->hashes[1], denials->absent_count, hash))
        return;
    char *copy = strndup(path, size);
    if (!copy)
        return;
    size_t at = denials->absent_next++ % DENIALS_KEPT;
    if (denials->absent_count == DENIALS_KEPT)
        free(denials->absent[at].path);
    denials->hashes[1][at] = hash;
    denials->absent[at] = (struct denial){copy, ABSENT_REASON, kind};
    denials->absent_count += denials->absent_count < DENIALS_KEPT;
}

void denials_amend(struct denials *denials, const char *name, const char *better, const char *reason)
{
    if (denials->asking) {
        struct refusal *refusal = hold(denials, DENIED_NETWORK, better, strlen(better), reason);
        strncat(refusal->amends, name, sizeof refusal->amends - 1);
        return;
    }
    for (size_t i = 0; i < denials->kept; i++) {
        struct denial *denial = &denials->first[i];
        char *copy = denial->reason == reason && !strcmp(denial->path, name) ? strdup(better) : NULL;
        if (!copy)
            continue;
        free(denial->path);
        denial->path = copy;
        denials->hashes[0][i] = hash_of(DENIED_NETWORK, better, strlen(better), reason);
        return;
    }
    denials_add(denials, DENIED_NETWORK, better, strlen(better), reason);
}
