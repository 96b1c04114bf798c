/* SPDX-License-Identifier: MIT */
/* Answers that are kept: how a manifest's text is changed; and what names look like in a question. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/ask/ask.h"

static char file[] = "/tmp/pal-unit-ask.XXXXXX";

static void write_text(const char *text)
{
    strcpy(file + strlen(file) - 6, "XXXXXX");
    int fd = mkstemp(file);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

/* Kept, and read again: so many rules and mounts, the last of them as asked. */
static void check_kept(const char *text, struct question *question, size_t rules, size_t mounts)
{
    static struct policy policy;
    static struct manifest manifest;
    write_text(text);
    keep_find(file);
    const char *wrong = keep_add(&policy, file, question);
    cr_assert_null(wrong, "%s: %s", text, wrong);
    manifest_load(file, &manifest);
    cr_expect_eq(manifest.network.rule_count, rules, "%s", text);
    cr_expect_eq(manifest.mount_count, mounts, "%s", text);
    bool found = false;
    for (size_t i = 0; i < manifest.network.rule_count; i++)
        found |= question->kind == DENIED_NETWORK && !strcmp(manifest.network.rules[i].text, question->grants);
    for (size_t i = 0; i < manifest.mount_count; i++)
        found |= question->kind != DENIED_NETWORK && !strcmp(manifest.mounts[i].at, question->grants) &&
                 manifest.mounts[i].writable == (question->kind == DENIED_WRITE);
    cr_expect(found, "%s", text);
    unlink(file);
}

Test(ask, rules_are_kept)
{
    struct question question = {.kind = DENIED_NETWORK, .grants = (char *)"far.test:8080"};
    check_kept("", &question, 1, 0);
    check_kept("cwd = '/usr' # [network]\n", &question, 1, 0);
    check_kept("[network]\n", &question, 1, 0);
    check_kept("[network]\nmode = 'rules'", &question, 1, 0);
    check_kept("[network]\nallow = []\n", &question, 1, 0);
    check_kept("# mine\n[network]\nmode = 'rules'\nallow = ['a.test', # one\n  'b.test']\n[[mounts]]\nat = '/usr'\n", &question, 3, 1);
    check_kept("[[mounts]]\nat = '/usr'\n\n[network]\n[limits]\nprocesses = 9\n", &question, 1, 1);
}

Test(ask, mounts_are_kept)
{
    struct question question = {.kind = DENIED_READ, .grants = (char *)"/usr/share", .real = (char *)"/usr/share"};
    check_kept("", &question, 0, 1);
    check_kept("cwd = '/usr'", &question, 0, 1);
    check_kept("[network]\nallow = ['a.test']", &question, 1, 1);
    question.kind = DENIED_WRITE;
    check_kept("[[mounts]]\nat = '/usr'\n", &question, 0, 2);
}

/* What can't be changed safely stays as it is. */
Test(ask, other_texts_stay)
{
    static struct policy policy;
    static const char *const texts[] = {"network = {allow = ['a.test']}\n", "network.allow = ['a.test']\n", "not = = toml\n",
                                        "[[mounts]]\nat = '/usr/share'\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct question question = {.kind = i < 3 ? DENIED_NETWORK : DENIED_WRITE, .grants = (char *)(i < 3 ? "b.test" : "/usr/share"),
                                    .real = (char *)"/usr/share"};
        char now[256] = "";
        write_text(texts[i]);
        keep_find(file);
        cr_expect_not_null(keep_add(&policy, file, &question), "%s", texts[i]);
        FILE *in = fopen(file, "r");
        cr_assert(fread(now, 1, sizeof now - 1, in) == strlen(texts[i]));
        cr_expect_str_eq(now, texts[i]);
        fclose(in);
        unlink(file);
    }
}

Test(ask, names_are_shown_byte_by_byte)
{
    char shown[SHOWN_MAX + 1], name[SHOWN_MAX + 2];
    cr_expect(name_shown("/a b~\033[2J\n\\x\x80", shown));
    cr_expect_str_eq(shown, "/a b~\\x1b[2J\\x0a\\x5cx\\x80");
    memset(name, 'a', sizeof name);
    name[SHOWN_MAX - 8] = 0;
    cr_expect(name_shown(name, shown) && !strcmp(name, shown));
    memset(name, '\033', SHOWN_MAX / 4);
    name[SHOWN_MAX / 4 + 1] = 0;
    cr_expect(!name_shown(name, shown) && strlen(shown) <= SHOWN_MAX);
}
