/* SPDX-License-Identifier: MIT */
/* The built-in policy: which folders are shown, and what of the environment. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/policy/policy.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
                             "alice:x:1000:1000::/srv/people/alice/:/bin/sh\nbroken\n"
                             "nobody:x:65534:65534::/nonexistent:/bin/false\n";

Test(policy, homes)
{
    cr_assert(policy_is_home("/", NULL, passwd));
    cr_assert(policy_is_home("/root", NULL, passwd));
    cr_assert(policy_is_home("/home", NULL, passwd));
    cr_assert(policy_is_home("/home/someone", NULL, passwd));
    cr_assert(policy_is_home("/srv/people/alice", NULL, passwd));
    cr_assert(policy_is_home("/srv/people", NULL, passwd), "it holds a home");
    cr_assert(policy_is_home("/data/me", "/data/me", passwd));
    cr_assert(policy_is_home("/data", "/data/me", passwd));
    cr_assert_not(policy_is_home("/data/me/project", "/data/me", passwd));
    cr_assert_not(policy_is_home("/srv/people/alice/project", NULL, passwd));
    cr_assert_not(policy_is_home("/srv/www", NULL, passwd));
}

/* By what it is, in every form. */
Test(policy, homes_by_identity)
{
    char base[] = "/var/tmp/pal-unit.XXXXXX", real[96], home[96], inside[128], line[256], dots[128];
    cr_assert_not_null(mkdtemp(base));
    sprintf(real, "%s/real", base);
    sprintf(home, "%s/home", base);
    cr_assert(mkdir(real, 0755) == 0 && symlink("real", home) == 0);
    sprintf(inside, "%s/u", real);
    cr_assert_eq(mkdir(inside, 0755), 0);
    strcat(home, "/u"); /* its parent is the symlink */
    cr_assert(policy_is_home(inside, home, NULL));
    cr_assert(policy_is_home(real, home, NULL), "it holds the home");
    cr_assert(policy_is_home(base, home, NULL));
    sprintf(line, "u:x:1:1::%s/:/bin/sh\n", home);
    cr_assert(policy_is_home(inside, NULL, line));
    cr_assert(policy_is_home(real, NULL, line));
    sprintf(dots, "%s/real/../home/u", base);
    cr_assert(policy_is_home(inside, dots, NULL));
    strcat(inside, "/project");
    cr_assert_eq(mkdir(inside, 0755), 0);
    cr_assert_not(policy_is_home(inside, home, line));
    sprintf(line, "rm -rf %s", base);
    cr_assert_eq(system(line), 0);
}

static struct policy policy;

static void make(char *program)
{
    static char *command[2];
    static struct options options;
    command[0] = program;
    options.command = command;
    mount_table_init(&policy.mounts);
    policy.environment_count = 0;
    policy_default(&policy, &options);
}

static const struct mount *mount_of(const char *path)
{
    return mount_table_find(&policy.mounts, path, strlen(path));
}

Test(policy, default_mounts)
{
    char folder[] = "/var/tmp/pal-unit.XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    setenv("HOME", "/home/me", 1);
    make((char *)"/bin/true");
    cr_assert(mount_of("/usr/bin/true") && !mount_of("/usr/bin/true")->writable);
    cr_assert(mount_of("/etc/passwd")->public_only);
    cr_assert_eq(mount_of("/tmp/x")->kind, MOUNT_SCRATCH);
    cr_assert_eq(mount_of("/home/me/x")->kind, MOUNT_SCRATCH);
    cr_assert_str_eq(mount_of(folder)->at, folder);
    cr_assert_not(mount_of(folder)->writable);
    cr_assert_str_eq(policy.cwd, folder);
    cr_assert_null(mount_of("/root/x"));
    cr_assert_null(mount_of("/var/lib"));
    rmdir(folder);
}

/* A program in a home is shown alone; the home is not. */
Test(policy, program_in_a_home)
{
    char home[] = "/var/tmp/pal-unit.XXXXXX", program[64];
    cr_assert_not_null(mkdtemp(home));
    setenv("HOME", home, 1);
    cr_assert_eq(chdir(home), 0);
    strcat(strcpy(program, home), "/app");
    cr_assert_eq(symlink("/bin/true", program), 0);
    make(program);
    cr_assert_eq(mount_of(home)->kind, MOUNT_SCRATCH);
    cr_assert_str_eq(mount_of(program)->at, program);
    cr_assert_str_eq(policy.cwd, home, "the private one");
    unlink(program);
    rmdir(home);
}

Test(policy, etc_is_never_shown_again)
{
    cr_assert_eq(chdir("/etc/ssl"), 0);
    make((char *)"/bin/true");
    cr_assert(mount_of("/etc/ssl/private")->public_only);
}

Test(policy, environment)
{
    clearenv();
    setenv("SECRET_TOKEN", "x", 1);
    setenv("LANG", "C", 1);
    setenv("LC_ALL", "C", 1);
    setenv("HOME", "/home/me", 1);
    setenv("TMPDIR", "/var/secret", 1);
    setenv("LD_PRELOAD", "x", 1);
    make((char *)"/bin/true");
    cr_assert_null(environment_get(&policy, "SECRET_TOKEN"));
    cr_assert_null(environment_get(&policy, "LD_PRELOAD"));
    cr_assert_str_eq(environment_get(&policy, "LANG"), "C");
    cr_assert_str_eq(environment_get(&policy, "LC_ALL"), "C");
    cr_assert_str_eq(environment_get(&policy, "HOME"), "/home/me");
    cr_assert_str_eq(environment_get(&policy, "TMPDIR"), "/tmp");
    environment_set(&policy, "LANG=D");
    environment_set(&policy, "SECRET_TOKEN");
    environment_set(&policy, "NO_SUCH_VARIABLE");
    cr_assert_str_eq(environment_get(&policy, "LANG"), "D");
    cr_assert_str_eq(environment_get(&policy, "SECRET_TOKEN"), "x");
    cr_assert_null(environment_get(&policy, "NO_SUCH_VARIABLE"));
}
