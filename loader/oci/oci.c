/* SPDX-License-Identifier: MIT */
/*
 * An engine (podman, containerd, CRI-O) calls pal-oci as it would call runc.  create and exec are edited, so that the
 * container's process is pal-run with the program behind it; then the node's own runtime (crun or runc) is executed with the
 * very arguments.  Containers are its work: namespaces, cgroups, mounts, hooks, consoles; the container is a second wall around the
 * sandbox.
 *
 * What is kept: a directory for each container, with the policy, until delete.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loader/oci/oci.h"
#include "loader/supervise/supervise.h"

#define CALLED_BY "pal-oci"

/* ---- The command line: options of crun and runc, before and behind the command ------------------------------------ */

static struct call {
    const char *command, *id, *bundle, *process, *log, *root;
    bool json_log;
} call = {.bundle = "."};

/* Those that take a value in the next word. */
static const struct { const char *name; const char **value; } with_value[] = {
    {"--bundle", &call.bundle}, {"-b", &call.bundle},  {"--process", &call.process}, {"-p", &call.process},
    {"--log", &call.log},       {"--root", &call.root}, {"--log-format", NULL},       {"--pid-file", NULL},
    {"--console-socket", NULL}, {"--preserve-fds", NULL}, {"--cgroup-manager", NULL}, {"--criu", NULL},
    {"--rootless", NULL},       {"--user", NULL},       {"-u", NULL},                 {"--cwd", NULL},
    {"--env", NULL},            {"-e", NULL},           {"--cap", NULL},              {"-c", NULL},
    {"--additional-gids", NULL}, {"-g", NULL},          {"--apparmor", NULL},         {"--process-label", NULL},
    {"--cgroup", NULL},         {"--resources", NULL},  {"-r", NULL},                 {"--format", NULL},
    {"-f", NULL},               {"--image-path", NULL}, {"--work-path", NULL},
};

static void take_value(const char *name, size_t size, const char *value)
{
    for (size_t i = 0; i < sizeof with_value / sizeof *with_value; i++)
        if (strlen(with_value[i].name) == size && !memcmp(with_value[i].name, name, size) && with_value[i].value)
            *with_value[i].value = value;
    if (size == strlen("--log-format") && !memcmp(name, "--log-format", size))
        call.json_log = !strcmp(value, "json");
}

static bool takes_value(const char *name)
{
    for (size_t i = 0; i < sizeof with_value / sizeof *with_value; i++)
        if (!strcmp(with_value[i].name, name))
            return true;
    return false;
}

/* delete's -f takes none. */
static void read_words(char **argv)
{
    for (char **at = argv + 1; *at; at++) {
        const char *equals = strchr(*at, '=');
        bool bare = call.command && !strcmp(call.command, "delete") && !strcmp(*at, "-f");
        if (**at == '-' && equals)
            take_value(*at, (size_t)(equals - *at), equals + 1);
        else if (**at == '-' && !bare && takes_value(*at) && at[1])
            take_value(*at, strlen(*at), at[1]), at++;
        else if (**at != '-' && !call.command)
            call.command = *at;
        else if (**at != '-' && !call.id)
            call.id = *at;
    }
}

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

void oci_fail(const char *pattern, ...)
{
    char text[1024], now[64];
    va_list list;
    va_start(list, pattern);
    vsnprintf(text, sizeof text, pattern, list);
    va_end(list);
    time_t seconds = time(NULL);
    struct tm utc;
    strftime(now, sizeof now, "%FT%TZ", gmtime_r(&seconds, &utc));
    FILE *log = call.log ? fopen(call.log, "ae") : NULL;
    if (log && call.json_log) {
        json_t *line = json_pack("{s:s, s:s, s:s}", "msg", text, "level", "error", "time", now);
        json_dumpf(line, log, JSON_COMPACT);
        fputc('\n', log);
        json_decref(line);
    } else if (log) {
        fprintf(log, "%s: %s\n", now, text);
    }
    if (log)
        fclose(log);
    fprintf(stderr, "%s\n", text);
    exit(1);
}

/* ---- The node's runtime ------------------------------------------------------------------------------------------ */

static const char *runtime(void)
{
    static const char *const known[] = {"/usr/bin/crun", "/usr/local/bin/crun", "/usr/bin/runc", "/usr/sbin/runc", "/usr/local/sbin/runc"};
    const char *chosen = getenv("PAL_OCI_RUNTIME");
    if (chosen && chosen[0] == '/')
        return chosen;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (access(known[i], X_OK) == 0)
            return known[i];
    oci_fail("pal-oci: neither crun nor runc is installed: install one, or set PAL_OCI_RUNTIME to its path");
}

static void hand_over(char **argv) __attribute__((noreturn));
static void hand_over(char **argv)
{
    const char *file = runtime();
    argv[0] = (char *)file;
    execv(file, argv);
    oci_fail("pal-oci: %s: %s", file, strerror(errno));
}

/* ---- A container's directory ------------------------------------------------------------------------------------- */

static bool id_is_good(const char *id)
{
    return id && id[0] && id[0] != '.' && strlen(id) < 256 && !strchr(id, '/');
}

static char *state_path(void)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0 && !(run && access("/run", W_OK) < 0))
        run = "/run";
    if (!run || run[0] != '/')
        oci_fail("pal-oci: no directory for a container's state: set XDG_RUNTIME_DIR");
    return must_print("%s/pal-oci", run);
}

/* Others go through it by name only: container processes of any user read what lies in it. */
static int open_folder(bool makes, char **path)
{
    char *state = state_path();
    if (makes && mkdir(state, 0711) < 0 && errno != EEXIST)
        oci_fail("pal-oci: %s: %s", state, strerror(errno));
    *path = must_print("%s/%s", state, call.id);
    if (makes && mkdir(*path, 0755) < 0 && errno != EEXIST)
        oci_fail("pal-oci: %s: %s", *path, strerror(errno));
    int folder = open(*path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (folder >= 0 && (fstat(folder, &status) < 0 || status.st_uid != geteuid()))
        oci_fail("pal-oci: %s belongs to another user", *path);
    if (folder >= 0 && makes)
        fchmod(folder, 0755); /* whatever the umask is */
    return folder;
}

static void remove_folder(void)
{
    char *path;
    int folder = open_folder(false, &path);
    if (folder < 0)
        return;
    close(folder);
    int state = open(state_path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state < 0)
        return;
    remove_directory(state, call.id);
    close(state);
}

/* ---- Files of JSON ----------------------------------------------------------------------------------------------- */

static json_t *read_json(const char *path)
{
    json_error_t error;
    json_t *value = json_load_file(path, 0, &error);
    if (!json_is_object(value))
        oci_fail("pal-oci: %s: %s", path, value ? "not an object" : error.text);
    return value;
}

/* In one call: json_dumpfd makes one of each token. */
static bool put_json(const json_t *value, int fd)
{
    char *text = fd < 0 ? NULL : json_dumps(value, JSON_COMPACT);
    size_t size = text ? strlen(text) : 0;
    bool good = size && write(fd, text, size) == (ssize_t)size;
    free(text);
    return good;
}

/* Whole or not at all; what was there is kept for who reads the engine's own. */
static void write_json(const json_t *value, const char *path)
{
    char *aside = must_print("%s.pal", path), *kept = must_print("%s.orig", path);
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct stat status;
    bool good = put_json(value, fd) && stat(path, &status) == 0 &&
                fchmod(fd, status.st_mode & 07777) == 0;
    unlink(kept);
    if (!good || (link(path, kept) < 0 && errno != EPERM) || rename(aside, path) < 0)
        oci_fail("pal-oci: %s can't be written: %s", path, strerror(errno));
    close(fd);
    free(aside);
    free(kept);
}

/* For exec: where programs are looked for, and whose the sandbox is. */
static void keep_place(const json_t *config, int folder)
{
    const char *root = json_string_value(json_object_get(json_object_get(config, "root"), "path"));
    char *bundle = realpath(call.bundle, NULL);
    if (!root || !bundle)
        return;
    char *path = root[0] == '/' ? must_copy(root) : must_print("%s/%s", bundle, root);
    json_t *mounts = json_object_get(config, "mounts");
    json_t *user = json_object_get(json_object_get(config, "process"), "user");
    json_t *place = json_pack("{s:{s:s}, s:O, s:O}", "root", "path", path, "mounts", mounts ? mounts : json_array(), "user",
                              user ? user : json_object());
    int fd = openat(folder, "place.json", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && !put_json(place, fd))
        unlinkat(folder, "place.json", 0);
    if (fd >= 0)
        close(fd);
    json_decref(place);
    free(path);
    free(bundle);
}

/* NULL: the container has no sandbox. */
static json_t *place_kept(int folder)
{
    int fd = openat(folder, "place.json", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    json_t *place = file ? json_loadf(file, 0, NULL) : NULL;
    if (file)
        fclose(file);
    return place;
}

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

static void edit_create(void)
{
    char *config_path = must_print("%s/config.json", call.bundle), *folder_path;
    json_t *config = read_json(config_path), *process = json_object_get(config, "process");
    if (!process)
        return; /* a container that starts nothing */
    int folder = open_folder(true, &folder_path);
    if (folder < 0)
        oci_fail("pal-oci: %s: %s", folder_path, strerror(errno));
    oci_find_program(config, call.bundle);
    if (!oci_edit_process(process, config, folder, call.id))
        return;
    keep_place(config, folder);
    oci_add_mounts(config, folder_path);
    write_json(config, config_path);
}

/* Where the engine gives a file.  A command line's program is run beside pal-run's sandbox, in the container alone: that is
 * for people who debug. */
static void edit_exec(void)
{
    char *folder_path;
    int folder = call.process ? open_folder(false, &folder_path) : -1;
    json_t *place = folder < 0 ? NULL : place_kept(folder);
    if (!place)
        return;
    json_t *process = read_json(call.process);
    json_object_set(place, "process", process);
    oci_find_program(place, "/");
    oci_edit_exec(process, json_object_get(place, "user"), call.id);
    write_json(process, call.process);
}

static int run_delete(char **argv)
{
    pid_t child = fork();
    if (child == 0)
        hand_over(argv);
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child > 0 && status == 0)
        remove_folder();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool oci_is(const char *name)
{
    const char *slash = name ? strrchr(name, '/') : NULL;
    return name && !strcmp(slash ? slash + 1 : name, CALLED_BY);
}

int oci_main(int argc, char **argv)
{
    (void)argc;
    launch_abandon();
    read_words(argv);
    bool named = call.command && id_is_good(call.id);
    if (named && (!strcmp(call.command, "create") || !strcmp(call.command, "run")))
        edit_create();
    else if (named && !strcmp(call.command, "exec"))
        edit_exec();
    else if (named && !strcmp(call.command, "delete"))
        return run_delete(argv);
    hand_over(argv);
}
