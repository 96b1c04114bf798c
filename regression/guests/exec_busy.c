/* SPDX-License-Identifier: MIT */
/* ETXTBSY: what is open for writing is not run, and what runs is not written. */
#include "files.h"
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

static void copy_program(const char *name)
{
    int from = open("/proc/self/exe", O_RDONLY), to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    CHECK(from >= 0 && to >= 0 && sendfile(to, from, NULL, 1 << 28) > 0 && close(from) == 0 && close(to) == 0);
}

/* The errno of exec, or the status of what ran. */
static int run(const char *name, int fd)
{
    char *const arguments[] = {"program", "end", NULL};
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (fd >= 0)
            fexecve(fd, arguments, environ);
        else
            execv(name, arguments);
        _exit(errno);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void open_for_writing(void)
{
    copy_program("one");
    CHECK(run("one", -1) == 77);
    int fd = open("one", O_WRONLY);
    CHECK(run("one", -1) == ETXTBSY && close(fd) == 0 && run("one", -1) == 77);
    fd = open("one", O_RDWR);
    CHECK(run("one", -1) == ETXTBSY && run(NULL, fd) == ETXTBSY && close(fd) == 0);
    fd = open("one", O_RDONLY);
    CHECK(run("one", -1) == 77 && run(NULL, fd) == 77 && close(fd) == 0);
    put_file("script", "#!/bin/sh\nexit 3\n");
    CHECK(chmod("script", 0755) == 0 && run("script", -1) == 3);
    fd = open("script", O_WRONLY | O_APPEND);
    CHECK(run("script", -1) == ETXTBSY && close(fd) == 0 && run("script", -1) == 3);
}

/* The maker's own description of a section does not count, on Linux; another for writing does. */
static void section(void)
{
    char name[40];
    int from = open("/proc/self/exe", O_RDONLY), fd = memfd_create("program", MFD_CLOEXEC);
    CHECK(sendfile(fd, from, NULL, 1 << 28) > 0 && close(from) == 0 && run(NULL, fd) == 77);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int again = open(name, O_RDWR);
    CHECK(again >= 0 && run(NULL, fd) == ETXTBSY && close(again) == 0 && run(NULL, fd) == 77);
}

static void running(void)
{
    struct stat before, after;
    int ready[2], status;
    char byte;
    copy_program("two");
    CHECK(pipe(ready) == 0 && stat("two", &before) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(dup2(ready[1], 1) == 1);
        execl("./two", "two", "wait", NULL);
        _exit(9);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    FAILS(open("two", O_WRONLY), ETXTBSY);
    FAILS(open("two", O_RDWR | O_CREAT, 0600), ETXTBSY);
    FAILS(open("two", O_WRONLY | O_TRUNC), ETXTBSY);
    FAILS(truncate("two", 0), ETXTBSY);
    CHECK(stat("two", &after) == 0 && after.st_size == before.st_size && after.st_mtime == before.st_mtime);
    CHECK(close(open("two", O_RDONLY)) == 0 && chmod("two", 0700) == 0 && rename("two", "three") == 0);
    FAILS(open("three", O_WRONLY), ETXTBSY);
    put_file("two", "another");
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    int fd = open("three", O_WRONLY | O_TRUNC);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0 && stat("three", &after) == 0 && after.st_size == 1);
}

int main(int count, char **arguments)
{
    if (count > 1 && !strcmp(arguments[1], "end"))
        return 77;
    if (count > 1) {
        CHECK(write(1, "", 1) == 1);
        pause();
    }
    scratch_enter();
    open_for_writing();
    section();
    running();
    return 0;
}
