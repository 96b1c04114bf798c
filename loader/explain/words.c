/* SPDX-License-Identifier: MIT */
/* What is said of findings: three lines after a failure, all of them when asked, or JSON. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/explain/explain.h"

#define LINE_WIDTH 100 /* of names; the options after them are whole, however long */
#define COLUMN_MAX 44
#define ARGUMENTS_MAX 64 /* that are looked at */

static const char *const verbs[] = {"read", "write", "connect", "variable"};

static const char *header(const struct findings *findings, size_t told)
{
    bool asks = false;
    for (size_t i = 0; i < findings->count; i++)
        asks |= findings->list[i].kind == FOUND_CONNECT || findings->list[i].kind == FOUND_VARIABLE ||
                (findings->list[i].kind == FOUND_WRITE && !findings->list[i].option);
    if (asks)
        return told == 1 ? "it failed (status %d) after 1 thing that this sandbox does not allow:"
                         : "it failed (status %d) after %zu things that this sandbox does not allow:";
    return told == 1 ? "it failed (status %d) after looking for 1 thing that exists here but isn't shown:"
                     : "it failed (status %d) after looking for %zu things that exist here but aren't shown:";
}

/* "    read   ~/x   --ro ~/x" */
static char *row(const struct finding *finding, int width)
{
    char more[40] = "";
    if (finding->more)
        snprintf(more, sizeof more, "  (and %zu more there)", finding->more);
    return must_print("    %-8s %-*s  %s%s%s%s", verbs[finding->kind], width, finding->shown, finding->option ? "" : "(",
                      finding->option ? finding->option : finding->reason, finding->option ? "" : ")", more);
}

static int width_of(const struct findings *findings)
{
    size_t width = 0;
    for (size_t i = 0; i < findings->count; i++) {
        size_t size = strlen(findings->list[i].shown);
        width = size > width && size <= COLUMN_MAX ? size : width;
    }
    return (int)width;
}

/* Many things in two lines: their names, as far as they fit, and one command line for all. */
static void say_folded(const struct findings *findings, size_t told)
{
    char names[2 * LINE_WIDTH];
    size_t used = 0, named = 0;
    char *options = must_copy("");
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];
        if (finding->noise)
            continue;
        size_t size = strlen(finding->shown) + strlen(verbs[finding->kind]) + 3;
        if (used + size < LINE_WIDTH) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s %s", used ? ", " : "", verbs[finding->kind],
                                     finding->shown);
            named++;
        }
        if (finding->option) {
            char *longer = must_print("%s %s", options, finding->option);
            free(options);
            options = longer;
        }
    }
    if (told > named)
        snprintf(names + used, sizeof names - used, "%s%zu more (pal-run why last)", used ? ", and " : "", told - named);
    names[used ? sizeof names - 1 : 0] = 0;
    warn_more("    %s", names);
    if (*options)
        warn_more("    to allow them:%s", options);
    else
        warn_more("    no option is advised: see pal-run why last");
    free(options);
}

/* What explain_arguments has said already. */
static char warned_of[PAL_PATH_MAX];

void explain_failure(const struct findings *findings, int status)
{
    size_t told = findings->count - findings->noise;
    if (!told)
        return;
    if (findings->count == 1 && !strcmp(findings->list[0].path, warned_of))
        return;
    warn(header(findings, told), status, told);
    if (told > 2) {
        say_folded(findings, told);
        return;
    }
    struct findings shown = {.count = 0};
    for (size_t i = 0; i < findings->count; i++)
        if (!findings->list[i].noise)
            shown.list[shown.count++] = findings->list[i];
    int width = width_of(&shown);
    for (size_t i = 0; i < shown.count; i++) {
        char *text = row(&shown.list[i], width);
        warn_more("%s", text);
        free(text);
    }
}

void explain_each(const struct findings *findings, void (*line)(const char *text))
{
    int width = width_of(findings);
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->list[i].noise)
            continue;
        char *text = row(&findings->list[i], width);
        line(text + 4);
        free(text);
    }
    if (findings->noise) {
        char *text = must_print("and %zu that most programs look for and do without", findings->noise);
        line(text);
        free(text);
    }
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *text_of(const char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    return value ? value : json_string("(not UTF-8)");
}

static json_t *dropped(const struct policy *policy)
{
    json_t *names = json_array();
    for (size_t i = 0; environ[i]; i++) {
        char *name = must_print("%.*s", (int)strcspn(environ[i], "="), environ[i]);
        if (!environment_get(policy, name))
            json_array_append_new(names, text_of(name));
        free(name);
    }
    return names;
}

char *explain_json(const struct policy *policy, const struct findings *findings, int status)
{
    json_t *list = json_array(), *refused = json_array();
    const struct denials *denials = &policy->mounts.denials;
    for (size_t i = 0; i < denials->kept; i++)
        json_array_append_new(refused, json_pack("{ss so ss}", "access", verbs[denials->first[i].kind], "name",
                                                 text_of(denials->first[i].path), "reason", denials->first[i].reason));
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];
        json_array_append_new(list, json_pack("{ss so so ss sb}", "access", verbs[finding->kind], "name", text_of(finding->path),
                                              "option", text_of(finding->option), "reason", finding->reason, "noise",
                                              (int)finding->noise));
    }
    json_t *top = json_pack("{so si so sI so so}", "program", text_of(policy->shown), "status", status, "denied", refused,
                            "denied_count", (json_int_t)denials->count, "not_shown", list, "variables_dropped", dropped(policy));
    char *text = top ? json_dumps(top, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(top);
    return text ? text : must_copy("{}");
}

/* ---- Before the start -------------------------------------------------------------------------------------------- */

/* Does this argument name something on the host that the sandbox does not show?  Its path then, in `clean`. */
static bool is_hidden(const struct policy *policy, const char *argument, const char *cwd, char clean[PAL_PATH_MAX])
{
    char joined[2 * PAL_PATH_MAX];
    bool slash;
    struct stat status;
    const char *equals = argument[0] == '-' ? strchr(argument, '=') : NULL;
    argument = equals ? equals + 1 : argument;
    if (!argument[0] || argument[0] == '-' || lstat(argument, &status) < 0 || (argument[0] != '/' && !cwd))
        return false;
    int size = snprintf(joined, sizeof joined, "%s/%s", argument[0] == '/' ? "" : cwd, argument);
    if (size < 0 || (size_t)size >= sizeof joined)
        return false;
    ssize_t used = path_clean(clean, PAL_PATH_MAX, joined, (size_t)size, &slash);
    if (used <= 1 || mount_table_is_libos(&policy->mounts, clean, (size_t)used) ||
        mount_table_is_above(&policy->mounts, clean, (size_t)used))
        return false;
    const struct mount *mount = mount_table_find(&policy->mounts, clean, (size_t)used);
    return !mount || (mount->kind == MOUNT_SCRATCH && mount->at_size != (size_t)used);
}

void explain_arguments(const struct policy *policy)
{
    const char *first = NULL, *why_not = NULL;
    char cwd[PAL_PATH_MAX], path[PAL_PATH_MAX], more[40] = "", *granted;
    size_t count = 0;
    bool known = policy->argv[0] && policy->argv[1] && getcwd(cwd, sizeof cwd) && cwd[0] == '/';
    for (size_t i = 1; policy->argv[0] && i < ARGUMENTS_MAX && policy->argv[i]; i++)
        if (is_hidden(policy, policy->argv[i], known ? cwd : NULL, path) && !count++) {
            first = policy->argv[i];
            strcpy(warned_of, path);
        }
    if (!count)
        return;
    if (count > 1)
        snprintf(more, sizeof more, " (nor are %zu more)", count - 1);
    char *option = advice_option(policy, warned_of, false, &granted, &why_not);
    if (option) /* the very file: it is what was named */
        warn("%.200s exists but isn't shown to the program%s: add --ro %s", first, more, advice_shown(warned_of, true));
    else
        warn("%.200s exists but isn't shown to the program%s (%s)", first, more, why_not);
    free(option);
    free(granted);
}
