/* SPDX-License-Identifier: MIT */
/*
 * From the PROGRAM of the command line to an open file that can be run: 127 where it is not found, 126 where it is no
 * program. The file is opened in the sandbox's own view, once: what was checked is what is sent ahead to the
 * picoprocess.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/launch/launch.h"

static int open_guest(struct mount_table *table, const char *path, uint32_t flags, struct reply *reply)
{
    const struct request request = {
        .op = MONITOR_OPEN, .flags = PAL_OPEN_READ | flags, .path = path, .path_size = strlen(path)};
    reply->packet.descriptors = 0;
    reply->packet.result = serve_open(table, &request, reply);
    return reply->packet.result;
}

/* Opening tells no reason for EACCES: the mode does. */
static void fail_open(struct mount_table *table, const char *path, const char *shown, int error)
    __attribute__((noreturn));
static void fail_open(struct mount_table *table, const char *path, const char *shown, int error)
{
    struct reply reply;
    const struct request request = {.op = MONITOR_STAT, .path = path, .path_size = strlen(path)};
    bool known = serve_stat(table, &request, &reply) == 0;
    uint32_t type = known ? reply.packet.attributes.type : 0;
    if (error == -ENOENT || error == -ENOTDIR)
        fail(EXIT_NOT_FOUND, "%s: not found%s", shown,
             access(path, F_OK) == 0 ? " in the sandbox: no mount shows it; grant its directory with --ro" : "");
    if (error == -EISDIR || error == -ENOTUNIQ || type == PAL_TYPE_DIRECTORY)
        fail(EXIT_NOT_EXECUTABLE, "%s: is a directory: name a program in it", shown);
    if (error == -EREMOTE)
        fail(EXIT_NOT_EXECUTABLE, "%s: is on a kernel file system: expected a program", shown);
    if (error == -ENOSYS)
        fail(EXIT_NOT_EXECUTABLE, "%s: openat2 is missing: this is inside a pal-run sandbox, or Linux before 5.6", shown);
    if (type == PAL_TYPE_FIFO)
        fail(EXIT_NOT_EXECUTABLE, "%s: is a FIFO: expected a program", shown);
    if (known && type != PAL_TYPE_FILE)
        fail(EXIT_NOT_EXECUTABLE, "%s: not a regular file: expected a program", shown);
    if (error == -EACCES && known && !(reply.packet.attributes.mode & 0111))
        fail(EXIT_NOT_EXECUTABLE, "%s: not executable: if it is a program, run chmod +x on it", shown);
    fail(EXIT_NOT_EXECUTABLE, "%s: not executable: %s", shown, strerror(-error));
}

/* "#!INTERPRETER [ARGUMENT]": the interpreter, or "" where this is no script. */
static void read_script(int fd, const char *shown, char *interpreter, size_t room)
{
    char line[256];
    ssize_t size = pread(fd, line, sizeof line - 1, 0);
    interpreter[0] = 0;
    if (size < 3 || line[0] != '#' || line[1] != '!')
        return;
    line[size] = 0;
    char *start = line + 2 + strspn(line + 2, " \t"), *end = strchr(line, '\n');
    if (end && end[-1] == '\r')
        fail(EXIT_NOT_EXECUTABLE, "%s: its lines end in CR LF (Windows): convert it (sed -i 's/\\r$//' FILE)", shown);
    snprintf(interpreter, room, "%.*s", (int)strcspn(start, " \t\r\n"), start);
}

static void check_interpreter(struct mount_table *table, const char *shown, const char *path, struct reply *reply)
{
    int error = path[0] == '/' ? open_guest(table, path, PAL_OPEN_EXECUTE, reply) : -ENOENT;
    if (error)
        fail(EXIT_NOT_EXECUTABLE, "%s: its interpreter %s can't be run: %s: install it, or grant it with --ro", shown,
             path, error == -ENOENT ? "not found in the sandbox" : strerror(-error));
}

void program_check(struct mount_table *table, const char *guest_path, const char *shown, struct program *out)
{
    int error = open_guest(table, guest_path, PAL_OPEN_EXECUTE, &out->file);
    if (error)
        fail_open(table, guest_path, shown, error);
    const struct pal_attributes *attributes = &out->file.packet.attributes;
    if (attributes->type != PAL_TYPE_FILE)
        fail_open(table, guest_path, shown, attributes->type == PAL_TYPE_DIRECTORY ? -EISDIR : -EACCES);
    int fd = out->file.descriptors[0];
    const char *problem = elf_inspect(fd, attributes->size, &out->facts);
    if (!problem) {
        memcpy(out->interpreter_path, out->facts.interpreter, sizeof out->interpreter_path);
        if (out->interpreter_path[0])
            check_interpreter(table, shown, out->interpreter_path, &out->interpreter);
        return;
    }
    if (attributes->size > 2)
        read_script(fd, shown, out->interpreter_path, sizeof out->interpreter_path);
    if (!out->interpreter_path[0])
        fail(EXIT_NOT_EXECUTABLE, "%s: %s", shown, problem);
    check_interpreter(table, shown, out->interpreter_path, &out->interpreter);
    /* The interpreter may be a script again: then the libOS sees to it. */
    if (!elf_inspect(out->interpreter.descriptors[0], out->interpreter.packet.attributes.size, &out->facts) &&
        out->facts.interpreter[0]) {
        memcpy(out->script_loader_path, out->facts.interpreter, sizeof out->script_loader_path);
        check_interpreter(table, shown, out->script_loader_path, &out->script_loader);
    }
}

void program_prefetch(const char *guest_path, struct program *program, struct prefetch *prefetch,
                      struct mount_table *table)
{
    prefetch_add(prefetch, guest_path, &program->file);
    if (program->interpreter_path[0])
        prefetch_add(prefetch, program->interpreter_path, &program->interpreter);
    if (program->script_loader_path[0])
        prefetch_add(prefetch, program->script_loader_path, &program->script_loader);
    if (program->facts.interpreter[0])
        prefetch_ask_loader(prefetch, table);
}

/* The guest's PATH is searched in the guest's view. */
static const char *find_in_sandbox(struct policy *policy, const char *program)
{
    const char *path = environment_get(policy, "PATH");
    for (const char *at = path ? path : DEFAULT_PATH; at; at = *at ? at + 1 : NULL) {
        size_t size = strcspn(at, ":");
        char *candidate = must_print("%.*s/%s", (int)size, at, program);
        struct reply reply;
        const struct request request = {.op = MONITOR_STAT, .path = candidate, .path_size = strlen(candidate)};
        if (candidate[0] == '/' && serve_stat(&policy->mounts, &request, &reply) == 0 &&
            reply.packet.attributes.type == PAL_TYPE_FILE && reply.packet.attributes.mode & 0111)
            return candidate;
        free(candidate);
        at += size;
    }
    fail(EXIT_NOT_FOUND, "%s: not found in the sandbox: give its path, or mount its directory", program);
}

static void check_cwd(struct policy *policy, const char *cwd)
{
    struct reply reply;
    const struct mount *mount = mount_table_exact(&policy->mounts, cwd, strlen(cwd));
    if (mount && mount->kind == MOUNT_SCRATCH)
        return; /* it is made when it is needed */
    const struct request request = {.op = MONITOR_STAT, .path = cwd, .path_size = strlen(cwd)};
    int error = serve_stat(&policy->mounts, &request, &reply);
    if (error == -EREMOTE)
        return; /* the libOS's own */
    if (!error && reply.packet.attributes.type != PAL_TYPE_DIRECTORY)
        error = -ENOTDIR;
    if (error)
        fail(EXIT_OWN_FAILURE, "%s: can't be the starting directory: %s in the sandbox", cwd, strerror(-error));
}

void program_place(struct policy *policy, const struct options *options)
{
    if (options->cwd || options->manifest || options->sealed)
        check_cwd(policy, policy->cwd);
    if (!policy->program) /* of a manifest: to be found among its mounts */
        policy->program = find_in_sandbox(policy, policy->shown);
}
