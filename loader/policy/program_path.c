/* SPDX-License-Identifier: MIT */
/* PROGRAM of the command line, found on the host: 127 where it is not there, 126 where it can't be executed. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/policy/policy.h"

/* As execvp(3): the first that can be executed; a file that can't is remembered for the error. */
char *program_find(const char *program, const char *search_path)
{
    if (strchr(program, '/'))
        return must_copy(program);
    if (!*program)
        fail(EXIT_NOT_FOUND, "\"\": not found: name a program");
    const char *denied = NULL;
    for (const char *at = search_path; at; at = *at ? at + 1 : NULL) {
        size_t size = strcspn(at, ":");
        char *path = must_print("%.*s%s%s", (int)size, at, size ? "/" : "./", program);
        struct stat status;
        if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
            if (access(path, X_OK) == 0)
                return path;
            denied = denied ? denied : path;
        }
        if (path != denied)
            free(path);
        at += size;
    }
    if (denied)
        fail(EXIT_NOT_EXECUTABLE, "%s: not executable: if it is a program, run chmod +x on it", denied);
    if (access(program, F_OK) == 0)
        fail(EXIT_NOT_FOUND, "%s: not found in PATH: to run the one in the current directory, give ./%s", program, program);
    if (strpbrk(program, " |&;<>"))
        fail(EXIT_NOT_FOUND, "%s: not found: to run a shell command: pal-run sh -c '...'", program);
    fail(EXIT_NOT_FOUND, "%s: not found in PATH: give its path", program);
}
