/* SPDX-License-Identifier: MIT */
/* Manifests: what is read, and each error with its line. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "loader/policy/policy.h"

static struct manifest manifest;

static const char *parse(const char *text)
{
    return manifest_parse("m.toml", text, strlen(text), &manifest);
}

Test(manifest, whole)
{
    const char *error = parse("program = \"/usr/bin/python3\"\n"
                              "args = [\"-c\", \"pass\"]\n"
                              "cwd = \"/tmp\"\n"
                              "uid = 1000\n"
                              "pass_env = [\"LANG\"]\n"
                              "[env]\n"
                              "A = \"1\"\n"
                              "[[mounts]]\n"
                              "at = \"/usr\"\n"
                              "access = \"ro\"\n"
                              "[[mounts]]\n"
                              "at = \"/data/\"\n"
                              "from = \"/tmp\"\n"
                              "access = \"rw\"\n"
                              "[[mounts]]\n"
                              "at = \"/tmp\"\n"
                              "type = \"tmpfs\"\n"
                              "[limits]\n"
                              "memory = \"512M\"\n"
                              "processes = 10\n"
                              "wall_seconds = 5\n");
    cr_assert_null(error, "%s", error);
    cr_assert_str_eq(manifest.program, "/usr/bin/python3");
    cr_assert_eq(manifest.arg_count, 2);
    cr_assert_eq(manifest.mount_count, 3);
    cr_assert(!manifest.mounts[0].writable && !strcmp(manifest.mounts[0].from, "/usr"));
    cr_assert(manifest.mounts[1].writable && !strcmp(manifest.mounts[1].at, "/data"));
    cr_assert_eq(manifest.mounts[2].kind, MOUNT_SCRATCH);
    cr_assert_eq(manifest.limits.memory, 512u << 20);
    cr_assert_eq(manifest.limits.cpu_seconds, UINT64_MAX);
    cr_assert(manifest.uid == 1000 && manifest.gid == -1);
    cr_assert_eq(manifest.environment_count, 2);
}

Test(manifest, errors)
{
    static const struct { const char *text, *start, *part; } cases[] = {
        {"mout = 1\n", "m.toml:1: ", "unknown key 'mout'; did you mean 'mounts'?"},
        {"\n[limits]\nmemry = 1\n", "m.toml:3: ", "'memry' in [limits]; did you mean 'memory'?"},
        {"[[mounts]]\nat = \"/usr\"\nacces = \"ro\"\n", "m.toml:3: ", "did you mean 'access'?"},
        {"\n[limits\n", "m.toml:2: ", ""},
        {"program = 3\n", "m.toml:1: ", "program must be a string"},
        {"args = \"x\"\n", "m.toml:1: ", "args must be an array"},
        {"args = [1]\n", "m.toml:1: ", "strings only"},
        {"uid = -1\n", "m.toml:1: ", "out of range"},
        {"uid = 4294967295\n", "m.toml:1: ", "out of range"},
        {"cwd = \"tmp\"\n", "m.toml:1: ", "absolute"},
        {"[limits]\nmemory = \"lots\"\n", "m.toml:2: ", "memory"},
        {"[limits]\nmemory = \"5X\"\n", "m.toml:2: ", "memory"},
        {"[limits]\nmemory = \"99999999999T\"\n", "m.toml:2: ", "memory"},
        {"[limits]\nfiles = 0\n", "m.toml:2: ", "at least 1"},
        {"[limits]\nfiles = 1.5\n", "m.toml:2: ", "files must be an integer"},
        {"limits = 1\n", "m.toml:1: ", "limits must be a table"},
        {"mounts = 1\n", "m.toml:1: ", "mounts must be an array"},
        {"mounts = [1]\n", "m.toml:1: ", "[[mounts]]"},
        {"[[mounts]]\nfrom = \"/usr\"\n", "m.toml:1: ", "at"},
        {"[[mounts]]\nat = \"usr\"\n", "m.toml:2: ", "absolute"},
        {"[[mounts]]\nat = \"/usr/../etc\"\n", "m.toml:2: ", ".."},
        {"[[mounts]]\nat = \"/usr\"\naccess = \"wr\"\n", "m.toml:3: ", "access"},
        {"[[mounts]]\nat = \"/x\"\ntype = \"nfs\"\n", "m.toml:3: ", "type"},
        {"[[mounts]]\nat = \"/x\"\nfrom = \"/no/such/place\"\n", "m.toml:1: ", "missing"},
        {"[[mounts]]\nat = \"/usr\"\n[[mounts]]\nat = \"/usr/\"\nfrom = \"/etc\"\n", "m.toml:3: ", "twice"},
        {"[[mounts]]\nat = \"/usr/share/x\"\nfrom = \"/usr\"\n", "m.toml:1: ", "inside its own"},
        {"[[mounts]]\nat = \"/usr\"\nfrom = \"/etc\"\n[[mounts]]\nat = \"/etc\"\nfrom = \"/usr\"\n", "m.toml:4: ",
         "cycle"},
        {"[env]\n\"A=B\" = \"x\"\n", "m.toml:2: ", "variable name"},
        {"[env]\nA = 1\n", "m.toml:2: ", "A must be a string"},
        {"program = \"a\\u0000b\"\n", "m.toml:1: ", "NUL"},
        {"program = \"\"\n", "m.toml:1: ", "empty"},
        {"a = 1\na = 2\n", "m.toml:2: ", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *error = parse(cases[i].text);
        cr_assert_not_null(error, "accepted: %s", cases[i].text);
        bool told = !strncmp(error, cases[i].start, strlen(cases[i].start)) && strstr(error, cases[i].part);
        cr_assert(told, "%s said: %s", cases[i].text, error);
    }
}

Test(manifest, deep_nesting)
{
    static char text[32 << 10]; /* the most that is read */
    size_t size = 1;
    text[0] = '[';
    while (size < sizeof text - 4)
        text[size++] = 'a', text[size++] = '.';
    memcpy(text + size, "a]\n", 3);
    cr_assert_not_null(manifest_parse("m.toml", text, size + 3, &manifest));
    memset(text, '[', sizeof text);
    memcpy(text, "a = ", 4);
    cr_assert_not_null(manifest_parse("m.toml", text, sizeof text, &manifest));
}
