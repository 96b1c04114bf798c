/* SPDX-License-Identifier: MIT */
/* What a connection sends first, by libFuzzer: whatever bytes.  A name that is read is one that a rule could have; and what
 * was decided stays so when more bytes come, as they do. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "loader/proof/proof.h"

static void look_at_names(const struct proof_names *names)
{
    assert(names->count >= 1 && names->count <= 2);
    for (unsigned i = 0; i < names->count; i++) {
        size_t size = strlen(names->names[i]);
        assert(size && size < PROOF_NAME && names->names[i][size - 1] != '.');
        for (const char *c = names->names[i]; *c; c++)
            assert(*c == '.' || *c == '-' || *c == '_' || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct proof_names names, before;
    if (size > PROOF_MAX)
        size = PROOF_MAX;
    uint8_t *copy = malloc(size ? size : 1); /* of just that size: an access beyond is seen */
    memcpy(copy, bytes, size);
    enum proof_state state = proof_read(copy, size, &names);
    free(copy);
    if (state == PROOF_NAMED)
        look_at_names(&names);
    size_t part = size ? bytes[size - 1] * size / 256 : 0;
    copy = malloc(part ? part : 1);
    memcpy(copy, bytes, part);
    enum proof_state first = proof_read(copy, part, &before);
    free(copy);
    assert(first == PROOF_MORE || first == state);
    if (first == PROOF_NAMED) {
        assert(before.count == names.count);
        for (unsigned i = 0; i < names.count; i++)
            assert(!strcmp(before.names[i], names.names[i]));
    }
    return 0;
}
