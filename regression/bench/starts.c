/* SPDX-License-Identifier: MIT */
/*
 * Times whole commands in turn, A B C A B C ..., so that all see the same machine: prints the median of each in
 * microseconds.  starts RUNS COMMAND...: each COMMAND is one argument, split at spaces.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_RUNS = 1000, MOST_COMMANDS = 16, MOST_WORDS = 64, WARM_UP = 3 };
static double times[MOST_COMMANDS][MOST_RUNS];

static double run(char **words)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    pid_t pid = vfork();
    if (pid == 0) {
        execvp(words[0], words);
        _exit(127);
    }
    int status;
    waitpid(pid, &status, 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "starts: %s: status 0x%x\n", words[0], (unsigned)status);
        exit(1);
    }
    return (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int runs = argc > 2 ? atoi(argv[1]) : 0, commands = argc - 2;
    static char *words[MOST_COMMANDS][MOST_WORDS];
    if (runs < 1 || runs > MOST_RUNS || commands > MOST_COMMANDS)
        return 2;
    for (int c = 0; c < commands; c++) {
        int n = 0;
        char *save = NULL, *text = strdup(argv[c + 2]);
        for (char *word = strtok_r(text, " ", &save); word && n < MOST_WORDS - 1; word = strtok_r(NULL, " ", &save))
            words[c][n++] = word;
    }
    for (int r = -WARM_UP; r < runs; r++)
        for (int c = 0; c < commands; c++)
            times[c][r < 0 ? 0 : r] = run(words[c]);
    for (int c = 0; c < commands; c++) {
        qsort(times[c], (size_t)runs, sizeof **times, compare);
        printf("%.1f\n", times[c][runs / 2]);
    }
    return 0;
}
