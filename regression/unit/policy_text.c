/* SPDX-License-Identifier: MIT */
/* A policy that is written and read again is the same. */
#include <criterion/criterion.h>
#include <string.h>

#include "loader/pack/pack.h"

static struct manifest first, second;

static const char whole[] =
    "program = \"/usr/bin/x\"\nargs = [\"a\\\"b\", \"\\\\\", \"\\u0001\", \"\"]\ncwd = \"/tmp\"\nuid = 7\ngid = 0\npass_env = [\"LC_*\"]\n"
    "rewrite = \"ahead\"\nallow_repo_config = true\nhide = [\"**/.env\"]\ndeny_write = [\"*.x\", \"y\"]\n"
    "[env]\n\"A.B\" = \"c d\"\nE = \"=\"\n"
    "[limits]\nmemory = 4096\nprocesses = 3\nfiles = 100\ncpu_seconds = 5\nwall_seconds = 6\n"
    "[network]\nmode = \"rules\"\nallow = [\"*.example.org:443\", \"udp://192.0.2.1:53 private\"]\n"
    "publish = [\"8080:80\", \"udp://[::1]:53:53\", \"0.0.0.0:1:2\"]\nhost_ports = [22, \"udp://53\"]\ndns = \"192.0.2.2\"\n"
    "[[mounts]]\nat = \"/a\"\ntype = \"tmpfs\"\nsize = 65536\n[[mounts]]\nat = \"/b\"\nfrom = \"/tmp\"\naccess = \"rw\"\n"
    "[[mounts]]\nat = \"/usr\"\naccess = \"cow\"\n[[mounts]]\nat = \"/etc\"\n";

Test(policy_text, again)
{
    size_t size, again;
    cr_assert_null(manifest_parse("a.toml", whole, strlen(whole), &first));
    char *text = policy_text(&first, &size);
    char *wrong = manifest_parse("b.toml", text, size, &second);
    cr_assert_null(wrong, "%s\n%s", wrong, text);
    char *same = policy_text(&second, &again);
    cr_assert_str_eq(text, same);
    cr_assert_eq(second.arg_count, 4);
    for (size_t i = 0; i < 4; i++)
        cr_assert_str_eq(first.args[i], second.args[i]);
    cr_assert_eq(second.environment_count, first.environment_count);
    cr_assert_eq(second.guard_count, 3);
    cr_assert_eq(second.uid, 7);
    cr_assert_eq(second.gid, 0);
    cr_assert_eq(second.rewrite, first.rewrite);
    cr_assert(second.allow_repo_config);
    cr_assert_arr_eq(&second.limits, &first.limits, sizeof first.limits);
    cr_assert_eq(second.network.mode, NETWORK_RULES);
    cr_assert_eq(second.network.rule_count, 2);
    cr_assert(second.network.rules[1].udp && second.network.rules[1].private);
    cr_assert_eq(second.network.host_port_count, 2);
    cr_assert_eq(second.mount_count, 4);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_arr_eq(second.network.publish[i].address, first.network.publish[i].address, 16);
        cr_assert_eq(second.network.publish[i].host_port, first.network.publish[i].host_port);
        cr_assert_eq(second.network.publish[i].udp, first.network.publish[i].udp);
    }
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(second.mounts[i].kind, first.mounts[i].kind);
        cr_assert_eq(second.mounts[i].writable, first.mounts[i].writable);
        cr_assert_eq(second.mounts[i].memory, first.mounts[i].memory);
    }
}

Test(policy_text, least)
{
    static const char least[] = "program = \"/x\"\n";
    size_t size;
    cr_assert_null(manifest_parse("a.toml", least, strlen(least), &first));
    char *text = policy_text(&first, &size);
    cr_assert_null(manifest_parse("b.toml", text, size, &second), "%s", text);
    cr_assert_eq(second.uid, -1);
    cr_assert_eq(second.limits.memory, UINT64_MAX);
    cr_assert_eq(second.network.mode, NETWORK_LOOPBACK);
    cr_assert_null(second.cwd);
}
