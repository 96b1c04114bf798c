/* SPDX-License-Identifier: MIT */
/* The guest's environment: a safe list without a manifest, since variables hold keys and tokens. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/policy/policy.h"

/* What tools go by and no secrets lie in. */
#define NAME(text) {text, sizeof text - 1}
static const struct { const char *name; size_t size; } safe[] = {
    NAME("PATH"), NAME("HOME"), NAME("USER"), NAME("LOGNAME"), NAME("LANG"), NAME("LANGUAGE"), NAME("TERM"), NAME("TZ"),
    NAME("SHELL"), NAME("COLUMNS"), NAME("LINES"), NAME("COLORTERM"), NAME("PWD"), NAME("TMPDIR"), NAME("CC"), NAME("CXX"),
    NAME("CFLAGS"), NAME("CXXFLAGS"), NAME("CPPFLAGS"), NAME("LDFLAGS"), NAME("LDLIBS"), NAME("AR"), NAME("LD"), NAME("MAKEFLAGS"),
    NAME("NO_COLOR"), NAME("FORCE_COLOR"), NAME("CLICOLOR"), NAME("CLICOLOR_FORCE"), NAME("CI"), NAME("SOURCE_DATE_EPOCH"),
    NAME("GOFLAGS"), NAME("GOOS"), NAME("GOARCH"), NAME("GOMAXPROCS"), NAME("GODEBUG"), NAME("CGO_ENABLED"), NAME("RUSTFLAGS"),
    NAME("RUST_BACKTRACE"), NAME("RUST_LOG"), NAME("NODE_ENV"), NAME("NODE_PATH"), NAME("NODE_OPTIONS"), NAME("VIRTUAL_ENV"),
    NAME("JAVA_HOME"), NAME("OMP_NUM_THREADS"), NAME("DEBUG"), NAME("VERBOSE"), NAME("TERM_PROGRAM"), NAME("RUSTUP_TOOLCHAIN"),
    NAME("PYENV_VERSION"), NAME("NVM_BIN"), NAME("NVM_DIR"),
};
static const struct { const char *name; size_t size; } prefixes[] = {NAME("LC_"), NAME("PYTHON"), NAME("CARGO_")};

static size_t name_size(const char *assignment)
{
    return strcspn(assignment, "=");
}

static size_t find(const struct policy *policy, const char *name, size_t size)
{
    size_t i = 0;
    while (i < policy->environment_count &&
           (name_size(policy->environment[i]) != size || memcmp(policy->environment[i], name, size) != 0))
        i++;
    return i;
}

static void put(struct policy *policy, const char *assignment)
{
    size_t i = find(policy, assignment, name_size(assignment));
    if (i == policy->environment_count) {
        char **grown = realloc(policy->environment, (i + 2) * sizeof *grown);
        if (!grown)
            fail(EXIT_OWN_FAILURE, "no memory for the environment");
        policy->environment = grown;
        policy->environment_count++;
    }
    policy->environment[i] = (char *)assignment;
}

void environment_set(struct policy *policy, const char *assignment)
{
    if (strchr(assignment, '=')) {
        put(policy, assignment);
        return;
    }
    if (strpbrk(assignment, "*?[")) {
        for (size_t i = 0; environ[i]; i++) {
            char *name = must_print("%.*s", (int)name_size(environ[i]), environ[i]);
            if (!fnmatch(assignment, name, 0))
                put(policy, environ[i]);
            free(name);
        }
        return;
    }
    const char *value = getenv(assignment);
    if (value)
        put(policy, must_print("%s=%s", assignment, value));
}

const char *environment_get(const struct policy *policy, const char *name)
{
    size_t size = strlen(name), i = find(policy, name, size);
    return i < policy->environment_count ? policy->environment[i] + size + 1 : NULL;
}

/* "https://user:password@host" may stand in any. */
static bool holds_secret(const char *assignment, size_t size)
{
    const char *scheme = strstr(assignment + size, "://");
    return variable_is_secret(assignment, size) || (scheme && strchr(scheme, '@'));
}

static bool is_safe(const char *assignment, size_t size)
{
    bool known = false;
    for (size_t i = 0; i < sizeof safe / sizeof *safe && !known; i++)
        known = safe[i].size == size && !memcmp(assignment, safe[i].name, size);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes && !known; i++)
        known = size > prefixes[i].size && !memcmp(assignment, prefixes[i].name, prefixes[i].size);
    return known && !holds_secret(assignment, size);
}

/* In the order that the caller's environment has. */
void environment_default(struct policy *policy)
{
    size_t count = 0;
    while (environ[count])
        count++;
    policy->environment = must_allocate((count + 1) * sizeof *policy->environment);
    for (size_t i = 0; i < count; i++) {
        size_t size = name_size(environ[i]);
        char *assignment = environ[i];
        if (!assignment[size] || !is_safe(assignment, size))
            continue;
        if (!strncmp(assignment, "HOME=", 5) && strcmp(assignment + 5, policy->home) != 0)
            assignment = must_print("HOME=%s", policy->home);
        else if (!strncmp(assignment, "PWD=", 4) && strcmp(assignment + 4, policy->cwd) != 0)
            assignment = must_print("PWD=%s", policy->cwd);
        else if (!strncmp(assignment, "TMPDIR=", 7))
            assignment = (char *)"TMPDIR=/tmp";
        policy->environment[policy->environment_count++] = assignment;
    }
}
