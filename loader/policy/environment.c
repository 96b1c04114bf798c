/* SPDX-License-Identifier: MIT */
/* The guest's environment: a safe list without a manifest, since variables hold keys and tokens. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/policy/policy.h"

static const char *const safe[] = {"PATH", "HOME",   "USER",    "LOGNAME", "LANG",      "LANGUAGE", "TERM",
                                   "TZ",   "SHELL",  "COLUMNS", "LINES",   "COLORTERM", "PWD",      "TMPDIR"};

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
    const char *value = getenv(assignment);
    if (value)
        put(policy, must_print("%s=%s", assignment, value));
}

const char *environment_get(const struct policy *policy, const char *name)
{
    size_t size = strlen(name), i = find(policy, name, size);
    return i < policy->environment_count ? policy->environment[i] + size + 1 : NULL;
}

static bool is_safe(const char *assignment, size_t size)
{
    if (!strncmp(assignment, "LC_", 3))
        return true;
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
        if (strlen(safe[i]) == size && !memcmp(assignment, safe[i], size))
            return true;
    return false;
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
