/* SPDX-License-Identifier: MIT */
/* pal-run: runs an unmodified program in a picoprocess, by policy. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/launch/launch.h"
#include "loader/oci/oci.h"
#include "loader/pack/pack.h"
#include "loader/palrun.h"

int main(int argc, char **argv)
{
    static struct options options;
    fail_undo = launch_abandon; /* it was launched before main */
    if (launch_is_bundle())
        _exit(bundle_main(argc, argv));
    if (oci_is(argv[0]))
        exit(oci_main(argc, argv));
    const struct command_row *command = argc > 1 ? command_find(argv[1]) : NULL;
    if (command) {
        int status = command->run(argc - 1, argv + 1);
        _exit(fflush(stdout) == 0 ? status : EXIT_OWN_FAILURE);
    }
    options_read(&options, argc, argv);
    _exit(palrun(&options));
}
