/* SPDX-License-Identifier: MIT */
/* A program that runs itself again: /proc/self/exe, a descriptor, execveat; the link is the file's name each time. */
#include "files.h"
#include <limits.h>

extern char **environ;

static void check_link(const char *place)
{
    char text[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", text, sizeof text - 1);
    CHECK(size > 0);
    text[size] = 0;
    CHECK(!strcmp(text, place));
    int fd = open("/proc/self/exe", O_RDONLY);
    CHECK(fd >= 0 && read(fd, text, 4) == 4 && !memcmp(text, "\177ELF", 4) && close(fd) == 0);
}

int main(int argc, char **argv)
{
    char place[PATH_MAX], name[40];
    if (argc == 1) {
        CHECK(readlink("/proc/self/exe", place, sizeof place) > 0);
        memset(place, 0, sizeof place);
        CHECK(readlink("/proc/self/exe", place, sizeof place - 1) > 0);
        execl("/proc/self/exe", "self", "1", place, NULL);
        CHECK(!"exec");
    }
    check_link(argv[2]);
    int fd = open("/proc/self/exe", argv[1][0] == '2' ? O_PATH | O_CLOEXEC : O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    switch (argv[1][0]) {
    case '1': execl(name, "self", "2", argv[2], NULL); break;
    case '2': syscall(SYS_execveat, fd, "", (char *const[]){"self", "3", argv[2], NULL}, environ, AT_EMPTY_PATH); break;
    case '3': execl("/proc/thread-self/../../exe", "self", "4", argv[2], NULL); break;
    case '4': execl("/proc/self/exe", "self", "5", argv[2], NULL); break;
    default: return 0;
    }
    CHECK(!"exec");
    return 0;
}
