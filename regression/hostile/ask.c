/* SPDX-License-Identifier: MIT */
/*
 * Guests that work against --ask, for ask.sh.
 *
 *   ask flood DIR COUNT     asks for DIR/uN/f, N < COUNT, by many processes
 *   ask draw FILE           draws from several processes, by the libOS and past it, while FILE is asked about
 *   ask type FILE           types at all terminals it may have, while FILE is asked about
 *   ask swap FILE DIR TO    replaces DIR, which it may write, by a symlink to TO while FILE is asked about
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

#include "regression/hostile/raw.h"

static int flood(const char *directory, int count)
{
    char path[4096];
    int opened = 0;
    for (int i = 0; i < 4; i++)
        if (i == 3 || fork() == 0) {
            for (int n = i; n < count; n += 4) {
                snprintf(path, sizeof path, "%s/u%d/f", directory, n);
                int fd = open(path, O_RDONLY);
                opened += fd >= 0;
                if (fd >= 0)
                    close(fd);
            }
            if (i < 3)
                _exit(opened > 0);
        }
    while (wait(NULL) > 0)
        ;
    printf("%s\n", opened ? "OPENED" : "refused");
    return 0;
}

static void draw_on(int way)
{
    static const char ink[] = "\033[2J\033[HDRAWN ";
    if (way)
        dispatch_off();
    for (;;)
        for (int fd = 1; fd <= (way ? 5 : 2); fd++)
            if (way)
                make(PAL_INSTRUCTION, &(struct arguments){SYS_write, {fd == 3 || fd == 4 ? 1 : fd, (long)ink, sizeof ink - 1}});
            else if (write(fd, ink, sizeof ink - 1) < 0)
                continue;
}

static void type_at(int way)
{
    static const char keys[] = "run\n";
    if (way)
        dispatch_off();
    for (;;)
        for (int fd = 0; fd <= 5; fd++)
            for (const char *key = keys; *key; key++)
                if (way)
                    make(PAL_INSTRUCTION, &(struct arguments){SYS_ioctl, {fd, TIOCSTI, (long)key}});
                else
                    ioctl(fd, TIOCSTI, key);
}

/* Two helpers, which end with us. */
static int beside(void (*work)(int way), const char *file)
{
    pid_t helpers[2];
    const struct timespec while_ = {0, 100000000};
    for (int way = 0; way < 2; way++)
        if ((helpers[way] = fork()) == 0) {
            work(way);
            _exit(0);
        }
    nanosleep(&while_, NULL);
    int fd = open(file, O_RDONLY);
    for (int way = 0; way < 2; way++)
        kill(helpers[way], SIGKILL);
    while (wait(NULL) > 0)
        ;
    printf("\r\n%s\n", fd < 0 ? "refused" : "OPENED");
    return 0;
}

static int swap(const char *file, const char *directory, const char *to)
{
    char away[4096];
    const struct timespec while_ = {0, 300000000};
    snprintf(away, sizeof away, "%s.away", directory);
    pid_t pid = fork();
    if (pid == 0) {
        nanosleep(&while_, NULL);
        _exit(rename(directory, away) < 0 || symlink(to, directory) < 0);
    }
    int fd = open(file, O_RDONLY);
    int status = 0;
    waitpid(pid, &status, 0);
    printf("%s %s\n", status ? "not swapped" : "swapped", fd < 0 ? "refused" : "OPENED");
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc == 4 && !strcmp(argv[1], "flood"))
        return flood(argv[2], atoi(argv[3]));
    if (argc == 5 && !strcmp(argv[1], "swap"))
        return swap(argv[2], argv[3], argv[4]);
    if (argc == 3 && ways_begin() >= 0)
        return beside(!strcmp(argv[1], "draw") ? draw_on : type_at, argv[2]);
    return 2;
}
