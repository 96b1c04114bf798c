/* SPDX-License-Identifier: MIT */
/* A policy as a manifest's text: what manifest_parse reads is what was put in. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/explain/explain.h"
#include "loader/pack/pack.h"

static void put(FILE *out, const char *key, const char *text)
{
    if (!text)
        return;
    fprintf(out, "%s = ", key);
    toml_put_string(out, text);
    fputc('\n', out);
}

static void put_number(FILE *out, const char *key, uint64_t value, uint64_t none)
{
    if (value != none)
        fprintf(out, "%s = %llu\n", key, (unsigned long long)value);
}

static void put_list(FILE *out, const char *key, const char *const *texts, size_t count)
{
    if (!count)
        return;
    fprintf(out, "%s = [", key);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        toml_put_string(out, texts[i]);
    }
    fputs("]\n", out);
}

static void put_head(FILE *out, const struct manifest *manifest)
{
    static const char *const rewrites[] = {[PAL_REWRITE_TRAPPED] = "trapped", [PAL_REWRITE_AHEAD] = "ahead", [PAL_REWRITE_NEVER] = "never"};
    const char **names = must_allocate((manifest->environment_count + 1) * sizeof *names);
    size_t count = 0;
    put(out, "program", manifest->program);
    put_list(out, "args", (const char *const *)manifest->args, manifest->arg_count);
    put(out, "cwd", manifest->cwd);
    for (size_t i = 0; i < manifest->environment_count; i++)
        if (!strchr(manifest->environment[i], '='))
            names[count++] = manifest->environment[i];
    put_list(out, "pass_env", names, count);
    put_number(out, "uid", (uint64_t)manifest->uid, (uint64_t)-1);
    put_number(out, "gid", (uint64_t)manifest->gid, (uint64_t)-1);
    if (manifest->rewrite)
        put(out, "rewrite", rewrites[manifest->rewrite - 1]);
    if (manifest->allow_repo_config)
        fputs("allow_repo_config = true\n", out);
    for (int hides = 0; hides <= 1; hides++) {
        count = 0;
        const char *patterns[sizeof manifest->guards / sizeof *manifest->guards];
        for (size_t i = 0; i < manifest->guard_count; i++)
            if (manifest->guards[i].hides == hides)
                patterns[count++] = manifest->guards[i].pattern;
        put_list(out, hides ? "hide" : "deny_write", patterns, count);
    }
    free(names);
}

/* The last one of a name counts. */
static bool is_set_later(const struct manifest *manifest, size_t index)
{
    size_t size = strcspn(manifest->environment[index], "=") + 1;
    for (size_t i = index + 1; i < manifest->environment_count; i++)
        if (!strncmp(manifest->environment[i], manifest->environment[index], size))
            return true;
    return false;
}

static void put_environment(FILE *out, const struct manifest *manifest)
{
    fputs("\n[env]\n", out);
    for (size_t i = 0; i < manifest->environment_count; i++) {
        const char *assignment = manifest->environment[i], *equals = strchr(assignment, '=');
        if (!equals || is_set_later(manifest, i))
            continue;
        char *name = must_print("%.*s", (int)(equals - assignment), assignment);
        toml_put_string(out, name);
        fputs(" = ", out);
        toml_put_string(out, equals + 1);
        fputc('\n', out);
        free(name);
    }
}

static void put_limits(FILE *out, const struct limits *limits)
{
    fputs("\n[limits]\n", out);
    put_number(out, "memory", limits->memory, UINT64_MAX);
    put_number(out, "processes", limits->processes, UINT64_MAX);
    put_number(out, "files", limits->files, UINT64_MAX);
    put_number(out, "cpu_seconds", limits->cpu_seconds, UINT64_MAX);
    put_number(out, "wall_seconds", limits->wall_seconds, UINT64_MAX);
}

static char *publish_text(const struct net_publish *publish)
{
    char address[INET6_ADDRSTRLEN];
    bool four = address_is_4(publish->address);
    inet_ntop(four ? AF_INET : AF_INET6, publish->address + (four ? 12 : 0), address, sizeof address);
    return must_print("%s%s%s%s:%u:%u", publish->udp ? "udp://" : "", four ? "" : "[", address, four ? "" : "]", publish->host_port, publish->port);
}

static void put_network(FILE *out, const struct network *network)
{
    static const char *const modes[] = {[NETWORK_LOOPBACK] = "loopback", [NETWORK_NONE] = "none", [NETWORK_RULES] = "rules", [NETWORK_HOST] = "host"};
    const char *texts[NET_RULES_MAX];
    fputs("\n[network]\n", out);
    if (network->mode_given)
        put(out, "mode", network->shared ? "container" : modes[network->mode]);
    put(out, "dns", network->dns);
    put(out, "udp", network->udp_any ? "any" : NULL);
    for (size_t i = 0; i < network->rule_count; i++)
        texts[i] = network->rules[i].text;
    put_list(out, "allow", texts, network->rule_count);
    for (size_t i = 0; i < network->publish_count; i++)
        texts[i] = publish_text(&network->publish[i]);
    put_list(out, "publish", texts, network->publish_count);
    for (size_t i = 0; i < network->host_port_count; i++)
        texts[i] = must_print("%s%u", network->host_ports[i].udp ? "udp://" : "", network->host_ports[i].port);
    put_list(out, "host_ports", texts, network->host_port_count);
}

static void put_mount(FILE *out, const struct mount *mount)
{
    fputs("\n[[mounts]]\n", out);
    put(out, "at", mount->at);
    if (mount->kind == MOUNT_SCRATCH) {
        put(out, "type", "tmpfs");
        put_number(out, "size", mount->memory, 0);
        return;
    }
    put(out, "from", mount->from);
    put(out, "access", mount->kind == MOUNT_COPY ? "cow" : mount->writable ? "rw" : "ro");
}

char *policy_text(const struct manifest *manifest, size_t *size)
{
    char *text;
    FILE *out = open_memstream(&text, size);
    if (!out)
        fail(EXIT_OWN_FAILURE, "no memory for the policy");
    put_head(out, manifest);
    put_environment(out, manifest);
    put_limits(out, &manifest->limits);
    put_network(out, &manifest->network);
    for (size_t i = 0; i < manifest->mount_count; i++)
        put_mount(out, &manifest->mounts[i]);
    if (fclose(out) != 0)
        fail(EXIT_OWN_FAILURE, "no memory for the policy");
    return text;
}
