/* SPDX-License-Identifier: MIT */
/*
 * A host that has taken parts of the program's range: memory_taken START END.  Nothing is mapped there, wherever a program
 * asks for it, /proc/self/maps shows that it is not free, and it stays so after munmap of all around, fork and exec.  Without arguments, or
 * natively, there is no such range, and the program ends well.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno);                                           \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)
#define PAGE 4096ul

static unsigned long taken_start, taken_end;

static void *map(unsigned long at, unsigned long size, int flags)
{
    return mmap((void *)at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static bool meets(const void *at, unsigned long size)
{
    return (unsigned long)at < taken_end && (unsigned long)at + size > taken_start;
}

static void check_maps(void)
{
    unsigned long start, end;
    char line[512];
    int shown = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start < taken_end && end > taken_start)
            shown += start == taken_start && end == taken_end && strstr(line, "---p") && strstr(line, "[host]") ? 1 : 2;
    fclose(maps);
    CHECK(shown == 1);
}

static void check_all(void)
{
    check_maps();
    CHECK(map(taken_start, PAGE, MAP_FIXED) == MAP_FAILED && errno == ENOMEM);
    CHECK(map(taken_end - PAGE, 2 * PAGE, MAP_FIXED) == MAP_FAILED && errno == ENOMEM);
    CHECK(map(taken_start, PAGE, MAP_FIXED_NOREPLACE) == MAP_FAILED && errno == EEXIST);
    char *near = map(taken_start, PAGE, 0); /* a hint */
    CHECK(near != MAP_FAILED && !meets(near, PAGE));
    munmap(near, PAGE);
    char *before = map(taken_start - PAGE, PAGE, MAP_FIXED), *after = map(taken_end, PAGE, MAP_FIXED);
    CHECK(before != MAP_FAILED && after != MAP_FAILED);
    *before = *after = 1;
    CHECK(mremap(before, PAGE, 2 * PAGE, 0) == MAP_FAILED && errno == ENOMEM);
    CHECK(mprotect(before, taken_end + PAGE - taken_start + PAGE, PROT_READ) == -1 && errno == ENOMEM);
    CHECK(munmap(before, taken_end + PAGE - taken_start + PAGE) == 0);
    CHECK(map(taken_start, PAGE, MAP_FIXED) == MAP_FAILED && errno == ENOMEM);
    check_maps();
}

int main(int argc, char **argv)
{
    int status;
    if (argc < 3)
        return 0;
    taken_start = strtoul(argv[1], NULL, 16);
    taken_end = strtoul(argv[2], NULL, 16);
    check_all();
    pid_t child = fork();
    if (child == 0) {
        check_all();
        if (argc == 3)
            execl("/proc/self/exe", argv[0], argv[1], argv[2], "again", NULL);
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    pid_t other = vfork();
    if (other == 0) {
        if (argc == 3)
            execl("/proc/self/exe", argv[0], argv[1], argv[2], "again", NULL);
        _exit(argc == 3);
    }
    CHECK(waitpid(other, &status, 0) == other && status == 0);
    return 0;
}
