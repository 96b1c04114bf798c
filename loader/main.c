/* SPDX-License-Identifier: MIT */
/* pal-run: runs an unmodified program in a picoprocess, by policy. */
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/launch/launch.h"
#include "loader/palrun.h"

int main(int argc, char **argv)
{
    static struct options options;
    fail_undo = launch_abandon; /* it was launched before main */
    options_read(&options, argc, argv);
    _exit(palrun(&options));
}
