/* SPDX-License-Identifier: MIT */
/* Manifests, by libFuzzer: an error with its line, or what the rest of pal-run relies on. */
#include <assert.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/policy.h"

static void check_place(const char *path)
{
    assert(path[0] == '/' && strlen(path) < PAL_PATH_MAX);
    assert(!strstr(path, "/../") && !strstr(path, "//"));
}

static jmp_buf refused;

/* The parser has met what it takes for impossible, and pal-run would end in order. */
static void go_on(void)
{
    longjmp(refused, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct manifest manifest;
    fail_undo = go_on;
    if (setjmp(refused))
        return 0;
    char *text = malloc(size + 1);
    memcpy(text, bytes, size);
    text[size] = 0;
    char *error = manifest_parse("/m.toml", text, size, &manifest);
    if (error) {
        assert(!strncmp(error, "/m.toml:", 8));
    } else {
        assert(manifest.mount_count <= MOUNTS_MAX);
        for (size_t i = 0; i < manifest.mount_count; i++) {
            check_place(manifest.mounts[i].at);
            if (manifest.mounts[i].kind == MOUNT_HOST)
                check_place(manifest.mounts[i].from);
        }
        if (manifest.cwd)
            check_place(manifest.cwd);
    }
    free(error);
    free(text);
    return 0;
}
