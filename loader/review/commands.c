/* SPDX-License-Identifier: MIT */
/* pal-run diff, apply, drop, runs: see docs/copy-mounts.md. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loader/launch/launch.h"
#include "loader/review/review.h"
#include "loader/supervise/supervise.h"

static struct review review;

/* Takes an option away where it stands first. */
static bool takes(int *argc, char ***argv, const char *option)
{
    if (*argc < 2 || strcmp((*argv)[1], option) != 0)
        return false;
    (*argv)[1] = (*argv)[0];
    (*argc)--;
    (*argv)++;
    return true;
}

/* A name for people: what is not printable ASCII could act on a terminal. */
static void print_path(const char *path)
{
    for (const unsigned char *at = (const void *)path; *at; at++)
        if (*at < ' ' || *at > '~')
            printf("\\x%02x", *at);
        else
            putchar(*at);
}

/* ---- diff -------------------------------------------------------------------------------------------------------- */

static void print_change(const struct change *change)
{
    char *path = change_path(change);
    printf("%-8s ", change_word(change));
    print_path(path);
    if (change->kind == CHANGE_MODE)
        printf("  %04o -> %04o", change->mode_was & 07777, change->mode & 07777);
    if (S_ISDIR(change->mode | change->mode_was))
        printf("%s", change->kind == CHANGE_MODE ? "" : "/");
    if (change->conflict)
        printf("  (%s)", change->conflict);
    if (change->refused)
        printf("  (not applied unasked: %s)", change->refused);
    printf("\n");
    free(path);
}

static void print_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < review.count; i++) {
        const struct change *change = &review.changes[i];
        char *path = change_path(change);
        json_t *row = json_pack("{s:s, s:o}", "change", change_word(change), "path", json_stringn_nocheck(path, strlen(path)));
        if (change->mode_was)
            json_object_set_new(row, "mode_before", json_sprintf("%06o", change->mode_was));
        if (change->mode)
            json_object_set_new(row, "mode", json_sprintf("%06o", change->mode));
        if (change->conflict)
            json_object_set_new(row, "conflict", json_string(change->conflict));
        if (change->refused)
            json_object_set_new(row, "refused", json_string(change->refused));
        json_array_append_new(list, row);
        free(path);
    }
    json_t *all = json_pack("{s:s, s:o}", "run", review.name, "changes", list);
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    printf("\n");
    json_decref(all);
}

static void make_parents(int directory, char *path)
{
    for (char *slash = path; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdirat(directory, path, 0700);
    }
}

static void put_side(int top, const char *side, const struct change *change, int object)
{
    struct stat status;
    bool one = review.table.count == 1;
    char *path = one ? must_print("%s/%s", side, change->path)
                     : must_print("%s/%zu/%s", side, (size_t)(change->mount - review.table.mounts), change->path);
    make_parents(top, path);
    int from = object < 0 ? -1 : open(fd_name(object).path, O_RDONLY | O_CLOEXEC);
    int to = from < 0 || fstat(from, &status) < 0 ? -1 : openat(top, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to >= 0) {
        cow_copy_bytes(from, to, status.st_size);
        close(to);
    }
    if (from >= 0)
        close(from);
    free(path);
}

/* Both sides of what has contents, as files of a private directory, which git compares. */
static int print_text(void)
{
    char top[] = "/tmp/pal-run-diff.XXXXXX";
    if (!mkdtemp(top))
        fail(EXIT_OWN_FAILURE, "%s: %s", top, strerror(errno));
    int fd = open(top, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    mkdirat(fd, "a", 0700);
    mkdirat(fd, "b", 0700);
    for (size_t i = 0; i < review.count; i++) {
        const struct change *change = &review.changes[i];
        int lower = S_ISREG(change->mode_was) ? object_find(change->mount->cow->lower.root, change->path, O_NOFOLLOW) : -1;
        int upper = S_ISREG(change->mode) ? cow_find(change->mount, change->path) : -1;
        if (change->kind == CHANGE_DELETED || change->kind == CHANGE_ADDED || change->kind == CHANGE_CHANGED) {
            put_side(fd, "a", change, lower);
            put_side(fd, "b", change, upper);
        }
        if (lower >= 0)
            close(lower);
        if (upper >= 0)
            close(upper);
    }
    pid_t child = fork();
    if (child == 0) { /* what is in the files reaches a terminal by git's pager, which shows what would act there */
        if (fchdir(fd) == 0)
            execlp("git", "git", isatty(STDOUT_FILENO) ? "--paginate" : "--no-pager", "diff", "--no-index", "--no-renames", "--no-prefix",
                   "--no-ext-diff", "--no-textconv", "--", "a", "b", (char *)NULL);
        _exit(127);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    close(fd);
    int base = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    remove_directory(base, top + strlen("/tmp/"));
    close(base);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        fail(EXIT_OWN_FAILURE, "--text: git can't be run: install it, or omit --text");
    return 0;
}

int diff_main(int argc, char **argv)
{
    bool text = false, json = false;
    launch_abandon();
    while (argc > 1 && argv[1][0] == '-') {
        bool is_text = takes(&argc, &argv, "--text"), is_json = !is_text && takes(&argc, &argv, "--json");
        if (!is_text && !is_json)
            fail(EXIT_OWN_FAILURE, "usage: pal-run diff [--text|--json] [NAME]");
        text |= is_text;
        json |= is_json;
    }
    if (argc > 2)
        fail(EXIT_OWN_FAILURE, "usage: pal-run diff [--text|--json] [NAME]");
    review_open(&review, argv[1]);
    review_find(&review);
    if (text)
        return print_text();
    if (json)
        print_json();
    for (size_t i = 0; i < review.count && !json; i++)
        print_change(&review.changes[i]);
    return fflush(stdout) == 0 ? 0 : EXIT_OWN_FAILURE;
}

/* ---- apply ------------------------------------------------------------------------------------------------------- */

/* Named: it, or what it lies in, is among the paths; exactly: it itself is. */
static bool is_named(const char *path, char **paths, bool exactly)
{
    for (; *paths; paths++) {
        char *clean = realpath(**paths == '/' ? "/" : ".", NULL), *full, out[PAL_PATH_MAX];
        bool slash;
        full = **paths == '/' ? must_copy(*paths) : must_print("%s/%s", clean ? clean : "", *paths);
        ssize_t size = path_clean(out, sizeof out, full, strlen(full), &slash);
        bool found = size > 0 && (exactly ? !strcmp(path, out) : path_is_within(path, strlen(path), out, (size_t)size));
        free(full);
        free(clean);
        if (found)
            return true;
    }
    return false;
}

int apply_main(int argc, char **argv)
{
    bool force = false;
    size_t done = 0, left = 0;
    launch_abandon();
    while (argc > 1 && argv[1][0] == '-') {
        if (!takes(&argc, &argv, "--force"))
            fail(EXIT_OWN_FAILURE, "usage: pal-run apply [--force] [NAME [PATH...]]");
        force = true;
    }
    char **paths = argc > 2 ? argv + 2 : NULL;
    umask(0);
    review_open(&review, argv[1]);
    apply_begin(&review);
    review_find(&review);
    for (size_t i = 0; i < review.count; i++) {
        struct change *change = &review.changes[i];
        char *path = change_path(change);
        if (paths && !is_named(path, paths, false)) {
            free(path);
            continue;
        }
        bool asked = paths && is_named(path, paths, true);
        const char *wrong = change->refused && !asked ? change->refused : change->conflict && !force ? change->conflict : apply_change(change);
        const char *advice = wrong == change->refused ? ": name it to apply it" : wrong == change->conflict ? ": --force puts the run's in its place" : "";
        if (wrong) {
            printf("left     ");
            print_path(path);
            printf("  (%s%s)\n", wrong, advice);
        }
        done += !wrong;
        left += wrong != NULL;
        free(path);
    }
    apply_end();
    printf("%zu applied", done);
    printf(left ? ", %zu left\n" : "\n", left);
    return fflush(stdout) == 0 && !left ? 0 : left ? 1 : EXIT_OWN_FAILURE;
}

/* ---- drop, runs -------------------------------------------------------------------------------------------------- */

int drop_main(int argc, char **argv)
{
    launch_abandon();
    if (argc < 2)
        fail(EXIT_OWN_FAILURE, "usage: pal-run drop NAME...");
    int runs = runs_open(false);
    for (int i = 1; i < argc; i++) {
        int run = runs >= 0 && run_name_is_good(argv[i]) ? run_open(runs, argv[i], false) : -1;
        if (run < 0 && errno == EWOULDBLOCK)
            fail(EXIT_OWN_FAILURE, "%s: the run is in use: wait until it ends", argv[i]);
        if (run < 0)
            fail(EXIT_OWN_FAILURE, "%s: no such run: see pal-run runs", argv[i]);
        int64_t error = remove_directory(runs, argv[i]);
        if (error)
            fail(EXIT_OWN_FAILURE, "%s: %s", argv[i], strerror((int)-error));
        close(run);
    }
    return 0;
}

int runs_main(int argc, char **argv)
{
    static struct run_mount mounts[MOUNTS_MAX];
    bool as_json = false;
    launch_abandon();
    if (argc > 1 && !(as_json = takes(&argc, &argv, "--json")))
        fail(EXIT_OWN_FAILURE, "usage: pal-run runs [--json]");
    int runs = runs_open(false);
    DIR *names = runs < 0 ? NULL : fdopendir(runs);
    json_t *list = json_array();
    const struct dirent *entry;
    while (names && (entry = readdir(names))) {
        if (!run_name_is_good(entry->d_name))
            continue;
        struct stat status;
        int run = run_open(dirfd(names), entry->d_name, false);
        bool used = run < 0 && errno == EWOULDBLOCK;
        if ((run < 0 && !used) || fstatat(dirfd(names), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        size_t count = run < 0 ? 0 : run_mounts(run, mounts);
        if (!as_json)
            printf("%-20s %s", entry->d_name, used ? "in use" : "");
        json_t *places = json_array();
        for (size_t i = 0; i < count; i++) {
            json_array_append_new(places, json_string(mounts[i].from));
            if (!as_json) {
                printf("%s", i ? "  " : "");
                print_path(mounts[i].from);
            }
        }
        if (!as_json)
            printf("\n");
        json_array_append_new(list, json_pack("{s:s, s:b, s:o}", "name", entry->d_name, "in_use", used, "folders", places));
        if (run >= 0)
            close(run);
    }
    if (as_json) {
        json_dumpf(list, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        printf("\n");
    }
    json_decref(list);
    return fflush(stdout) == 0 ? 0 : EXIT_OWN_FAILURE;
}
