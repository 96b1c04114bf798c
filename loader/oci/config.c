/* SPDX-License-Identifier: MIT */
/* The edits: pal-run as the container's process, its policy, its mounts. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/oci/oci.h"

#define PROGRAM_INSIDE OCI_INSIDE "/pal-run"
#define POLICY "policy.toml"
#define NATIVE "pal.native" /* annotation: programs that run as they are, separated by blanks */
#define CONTAINER_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- The policy -------------------------------------------------------------------------------------------------- */

/* A TOML string is a JSON string but for what TOML's \u must not name, which no path or variable holds. */
static void write_string(FILE *file, const char *text)
{
    json_t *string = json_string(text);
    if (!string)
        oci_fail("pal-oci: config.json has a string that is not UTF-8");
    json_dumpf(string, file, JSON_ENCODE_ANY);
    json_decref(string);
}

static void write_environment(FILE *file, const json_t *process)
{
    size_t at;
    json_t *entry;
    fprintf(file, "[env]\n");
    json_t *seen = json_object(); /* the last of two counts, as libc's getenv has the first: engines give each once */
    json_array_foreach(json_object_get(process, "env"), at, entry) {
        const char *text = json_string_value(entry), *equals = text ? strchr(text, '=') : NULL;
        if (!equals || equals == text)
            continue;
        char *name = must_print("%.*s", (int)(equals - text), text);
        json_object_set_new(seen, name, json_string(equals + 1));
        free(name);
    }
    const char *name;
    json_object_foreach(seen, name, entry) {
        write_string(file, name);
        fputs(" = ", file);
        write_string(file, json_string_value(entry) ? json_string_value(entry) : "");
        fputc('\n', file);
    }
    json_decref(seen);
}

/* All of the container, by the kernel's own mounts and modes; and its network, which is the engine's affair. */
static void write_policy(int folder, const char *name, const json_t *process)
{
    const char *cwd = json_string_value(json_object_get(process, "cwd"));
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file)
        oci_fail("pal-oci: the policy can't be written: %s", strerror(errno));
    fprintf(file, "cwd = ");
    write_string(file, cwd && cwd[0] ? cwd : "/");
    fputc('\n', file);
    write_environment(file, process);
    fprintf(file, "[[mounts]]\nat = \"/\"\nfrom = \"/\"\naccess = \"rw\"\n[network]\nmode = \"container\"\n");
    if (fflush(file) != 0 || fchmod(fd, 0644) < 0)
        oci_fail("pal-oci: the policy can't be written: %s", strerror(errno));
    fclose(file);
}

/* ---- The process ------------------------------------------------------------------------------------------------- */

static bool is_native(const json_t *config, const char *program)
{
    const char *listed = json_string_value(json_object_get(json_object_get(config, "annotations"), NATIVE));
    for (const char *at = listed; at && *at;) {
        at += strspn(at, " ");
        size_t size = strcspn(at, " ");
        if (size && size == strlen(program) && !memcmp(at, program, size))
            return true;
        at += size;
    }
    return false;
}

static void add_capability(json_t *capabilities, const char *set)
{
    size_t at;
    json_t *each, *list = json_object_get(capabilities, set);
    if (!list)
        json_object_set_new(capabilities, set, list = json_array());
    json_array_foreach(list, at, each)
        if (json_string_value(each) && !strcmp(json_string_value(each), "CAP_SYS_PTRACE"))
            return;
    json_array_append_new(list, json_string("CAP_SYS_PTRACE"));
}

/* Root's picoprocesses have a user id of their own, and the monitor reaches their descriptors by this one. */
static void allow_monitor(json_t *process)
{
    static const char *const sets[] = {"bounding", "effective", "permitted"};
    json_t *capabilities = json_object_get(process, "capabilities");
    if (json_integer_value(json_object_get(json_object_get(process, "user"), "uid")) != 0)
        return;
    if (!capabilities)
        json_object_set_new(process, "capabilities", capabilities = json_object());
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        add_capability(capabilities, sets[i]);
}

/* What the sandbox is called: its id, as far as that can be a name. */
static char *sandbox_name(const char *id)
{
    char *name = must_print("oci-%.*s", JOIN_NAME_MAX - 4, id);
    for (char *at = name; *at; at++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *at))
            *at = '_';
    return name;
}

/* UID:GID[,GID...] */
static char *ids_of(const json_t *user)
{
    size_t at;
    json_t *each;
    char *text = must_print("%lld:%lld", (long long)json_integer_value(json_object_get(user, "uid")),
                            (long long)json_integer_value(json_object_get(user, "gid")));
    json_array_foreach(json_object_get(user, "additionalGids"), at, each) {
        char *more = must_print("%s,%lld", text, (long long)json_integer_value(each));
        free(text);
        text = more;
    }
    return text;
}

void oci_edit_exec(json_t *process, const json_t *user, const char *id)
{
    char *name = sandbox_name(id), *ids = ids_of(json_object_get(process, "user"));
    const char *cwd = json_string_value(json_object_get(process, "cwd"));
    json_t *words = json_pack("[s, s, s, s, s, s, s, s, s, s]", PROGRAM_INSIDE, "exec", "--own-env", "--wait", "--user", ids, "--cwd",
                              cwd && cwd[0] ? cwd : "/", name, "--");
    json_t *as = json_deep_copy(user), *mask = json_object_get(json_object_get(process, "user"), "umask");
    json_array_extend(words, json_object_get(process, "args"));
    json_object_set_new(process, "args", words);
    json_object_set_new(process, "cwd", json_string("/"));
    if (mask)
        json_object_set(as, "umask", mask);
    json_object_set_new(process, "user", as);
    free(name);
    free(ids);
}

bool oci_edit_process(json_t *process, const json_t *config, int folder, const char *id)
{
    json_t *arguments = json_object_get(process, "args");
    const char *program = json_string_value(json_array_get(arguments, 0));
    if (!program || !strcmp(program, PROGRAM_INSIDE) || is_native(config, program))
        return false;
    write_policy(folder, POLICY, process);
    char *name = sandbox_name(id);
    json_t *words = json_pack("[s, s, s, s, s, s, s]", PROGRAM_INSIDE, "--no-profile", "--name", name, "-m", OCI_INSIDE "/" POLICY, "--");
    json_array_extend(words, arguments);
    json_object_set_new(process, "args", words);
    json_object_set_new(process, "cwd", json_string("/"));
    allow_monitor(process);
    free(name);
    return true;
}

/* ---- Mounts ------------------------------------------------------------------------------------------------------ */

static void add_bind(json_t *mounts, const char *to, const char *from)
{
    json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:[s, s, s, s]}", "destination", to, "type", "bind", "source", from,
                                            "options", "bind", "ro", "nosuid", "nodev"));
}

void oci_add_mounts(json_t *config, const char *folder)
{
    char own[PAL_PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", own, sizeof own - 1);
    if (size < 0)
        oci_fail("pal-oci: can't find its own executable: %s", strerror(errno));
    own[size] = 0;
    int place = open(must_print("%s/pal-run", folder), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    if (place >= 0)
        close(place);
    json_t *mounts = json_object_get(config, "mounts");
    if (!mounts)
        json_object_set_new(config, "mounts", mounts = json_array());
    add_bind(mounts, OCI_INSIDE, folder);
    add_bind(mounts, PROGRAM_INSIDE, own);
}

/* ---- Is there such a program? ------------------------------------------------------------------------------------ */

/* Whether a mount of the container hides what the root file system has there. */
static bool is_covered(const json_t *config, const char *path)
{
    size_t at;
    json_t *mount;
    json_array_foreach(json_object_get(config, "mounts"), at, mount) {
        const char *destination = json_string_value(json_object_get(mount, "destination"));
        size_t size = destination ? strlen(destination) : 0;
        if (size > 1 && !strncmp(path, destination, size) && (path[size] == '/' || !path[size]))
            return true;
    }
    return false;
}

/* 0, or an errno: as the container would find it. */
static int look_at(int root, const char *path)
{
    const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    struct stat status;
    if (fd < 0)
        return errno;
    int error = fstat(fd, &status) < 0 ? errno : S_ISDIR(status.st_mode) || !(status.st_mode & 0111) ? EACCES : 0;
    close(fd);
    return error;
}

static const char *search_path(const json_t *process)
{
    size_t at;
    json_t *entry;
    json_array_foreach(json_object_get(process, "env"), at, entry)
        if (json_string_value(entry) && !strncmp(json_string_value(entry), "PATH=", 5))
            return json_string_value(entry) + 5;
    return CONTAINER_PATH;
}

/* 0 where it is there, or can't be told. */
static int find_by_path(const json_t *config, int root, const char *program)
{
    int error = ENOENT;
    for (const char *at = search_path(json_object_get(config, "process")); *at;) {
        size_t size = strcspn(at, ":");
        char *candidate = must_print("%.*s/%s", (int)size, at, program);
        int found = is_covered(config, candidate) ? 0 : look_at(root, candidate);
        free(candidate);
        if (!found)
            return 0;
        if (found == EACCES)
            error = EACCES;
        at += size + (at[size] == ':');
    }
    return error;
}

void oci_find_program(const json_t *config, const char *bundle)
{
    const json_t *process = json_object_get(config, "process");
    const char *program = json_string_value(json_array_get(json_object_get(process, "args"), 0));
    const char *path = json_string_value(json_object_get(json_object_get(config, "root"), "path"));
    if (!program || !path)
        return; /* the node's runtime says what is wrong */
    char *place = path[0] == '/' ? must_copy(path) : must_print("%s/%s", bundle, path);
    int root = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return;
    const char *cwd = json_string_value(json_object_get(process, "cwd"));
    int error;
    if (!strchr(program, '/')) {
        error = find_by_path(config, root, program);
    } else {
        char *whole = program[0] == '/' ? must_copy(program) : must_print("%s/%s", cwd ? cwd : "/", program);
        error = is_covered(config, whole) ? 0 : look_at(root, whole);
        free(whole);
    }
    close(root);
    free(place);
    if (error == ENOENT || error == ENOTDIR)
        oci_fail("executable file `%s` not found%s: No such file or directory", program, strchr(program, '/') ? "" : " in $PATH");
    if (error == EACCES)
        oci_fail("open executable: Permission denied");
}
