/* SPDX-License-Identifier: MIT */
/*
 * What the last run of a program asked at its start, so that the next is told without asking: a file of names for each
 * program *and* policy.
 *
 * A profile says only which names to look up early.  Each is looked up by the policy of the run that is starting, with
 * the function that would have answered the guest, and only where a read-only mount shows it.  A guest chooses names
 * that it asks for, so a profile is something that one run tells another: it reaches runs of the same program by the same
 * policy alone, which show the same files, and not even those with --no-profile.  Names that policy refused, or that the
 * guest may change, are not kept; an answer that is a refusal is not sent: it is told of when it is asked for.
 *
 * Format: a line "pal-run profile 2", one "p PATH" with the program, then a line a name: "o PATH" opened for reading, "s
 * PATH" attributes asked.  A line "v": its start asked for so many more that it was given a view.  A line "k NUMBERS": a
 * program that it ran, and its call sites, "t NUMBERS" each, as struct pal_sites has them.  The libOS trusts none.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pal/hash.h"
#include "loader/explain/explain.h"
#include "loader/monitor/monitor.h"

#define HEADER "pal-run profile 2\n"
#define START_NS 2000000000ull /* a program has started after that */
#define TEXT_MAX (64 * 1024u)
#define NEWS_LEAST 3u /* fewer new names are not worth writing */
#define SITES_GROWTH 64u /* likewise, of those that there are */
#define SITE_LINE_MAX 96u
#define NAMES_MAX (PREFETCH_MAX - PREFETCH_FIRST)

static char file_name[33];
static const char *of_program;
static char text[TEXT_MAX + 1]; /* the profile that was read; then also what is new */
static size_t text_size, news, count;
static uint64_t known[NAMES_MAX]; /* hashes of the paths in it */
static bool is_new, had_view;
static struct pal_sites programs[PAL_SITE_PROGRAMS]; /* with their sites */
static size_t program_count;
static uint64_t begun;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* All that decides what a name shows. */
static void name_file(const char *program, const struct mount_table *table)
{
    char policy[64];
    uint64_t first = hash_bytes(program, strlen(program)), second = ~first;
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *mount = &table->mounts[i];
        int size = snprintf(policy, sizeof policy, "%016llx%016llx%d%d%d%d",
                                (unsigned long long)hash_bytes(mount->at, mount->at_size),
                                (unsigned long long)(mount->from ? hash_bytes(mount->from, strlen(mount->from)) : 0),
                                (int)mount->kind, mount->writable, mount->public_only, mount->public_files);
        first = first * 31 + hash_bytes(policy, (size_t)size);
        second = (second ^ hash_bytes(policy + 1, (size_t)size - 1)) * 0x100000001b3u;
    }
    snprintf(file_name, sizeof file_name, "%016llx%016llx", (unsigned long long)first, (unsigned long long)second);
}

/* Does this policy show it, so that the guest can't change it? */
static bool is_shown(const struct mount_table *table, const char *path, size_t size)
{
    const struct mount *mount = mount_table_find(table, path, size);
    return mount && !mount->writable && mount->kind != MOUNT_SCRATCH;
}

static bool is_known(uint64_t path)
{
    for (size_t i = 0; i < count; i++)
        if (known[i] == path)
            return true;
    return false;
}

static void read_profile(void)
{
    size_t header = strlen(HEADER), size = store_read(file_name, text, TEXT_MAX);
    if (size > header && !memcmp(text, HEADER, header) && text[size - 1] == '\n')
        text_size = size;
    is_new = !text_size;
}

/* Numbers in hexadecimal, with a space before each and a line's end behind the last.  False: something else. */
static bool read_numbers(const char *from, long long *out, size_t most)
{
    for (size_t i = 0; i < most; i++) {
        char *end;
        if (*from != ' ')
            return false;
        out[i] = from[1] == '-' ? strtoll(from, &end, 16) : (long long)strtoull(from, &end, 16);
        if (end == from)
            return false;
        from = end;
    }
    return *from == '\n';
}

static void read_program(const char *line)
{
    struct pal_sites *next = &programs[program_count];
    long long is[5];
    if (program_count == PAL_SITE_PROGRAMS || !read_numbers(line + 1, is, 5))
        return;
    memcpy(next->program, is, sizeof next->program);
    next->state = PAL_SITES_READY;
    program_count++;
}

/* Of the program before it. */
static void read_site(const char *line)
{
    struct pal_sites *of = &programs[program_count ? program_count - 1 : 0];
    long long is[6];
    if (!program_count || of->count == PAL_SITES || !read_numbers(line + 1, is, 6))
        return;
    of->sites[of->count++] = (struct pal_site){.page = (uint32_t)is[0], .pages = (uint32_t)is[1], .hash = (uint64_t)is[2],
                                               .at = (uint32_t)is[3], .hole = (int16_t)is[4], .patch = (int8_t)is[5]};
    of->before = of->count;
}

void prefetch_profile_use(const char *program, struct prefetch *prefetch, struct mount_table *table)
{
    store_open();
    name_file(program, table);
    read_profile();
    begun = now();
    of_program = program;
    for (char *line = text + strlen(HEADER), *end; text_size && line < text + text_size; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + text_size - line));
        size_t size = (size_t)(end - line);
        had_view |= size == 1 && *line == 'v';
        if (*line == 'k')
            read_program(line);
        else if (*line == 't')
            read_site(line);
        if (!strchr("os", *line) || count == NAMES_MAX || size < 3 || size >= PAL_PATH_MAX || line[1] != ' ' || line[2] != '/' ||
            !is_shown(table, line + 2, size - 2))
            continue;
        known[count++] = hash_bytes(line + 2, size - 2);
        if (prefetch->count < PREFETCH_MAX)
            prefetch_ask(prefetch, table, must_print("%.*s", (int)size - 2, line + 2), line[0] == 'o');
    }
}

/* What is new begins with whose it is.  False: a profile can't say that. */
static bool begin_text(void)
{
    if (!text_size && !strchr(of_program, '\n'))
        text_size = (size_t)sprintf(text, HEADER "p %s\n", of_program);
    return text_size != 0;
}

bool prefetch_profile_had_view(void)
{
    return had_view;
}

void prefetch_profile_note_view(void)
{
    if (!begun || had_view || now() - begun > START_NS || text_size + PAL_PATH_MAX + 64 > TEXT_MAX || !begin_text())
        return;
    text_size += (size_t)sprintf(text + text_size, "v\n");
    had_view = true;
    news += NEWS_LEAST;
}

void prefetch_profile_note(const struct mount_table *table, const struct request *request, int result)
{
    const uint32_t plain = PAL_OPEN_READ | PAL_OPEN_DIRECTORY | PAL_OPEN_EXECUTE;
    if (request->from && (request->from->nameless || is_object(request)))
        return;
    if (!begun || count == NAMES_MAX || text_size + request->path_size + 4 > TEXT_MAX)
        return;
    uint32_t aside = request->flags & PAL_OPEN_DIRECTORY ? PAL_OPEN_NONBLOCK : 0; /* opendir's, without a meaning */
    bool opens = request->op == MONITOR_OPEN && !(request->flags & ~(plain | aside));
    if ((!opens && (request->op != MONITOR_STAT || request->flags)) || (result && result != -ENOENT) ||
        !is_shown(table, request->path, request->path_size) || memchr(request->path, '\n', request->path_size))
        return;
    if (now() - begun > START_NS) {
        begun = 0;
        return;
    }
    uint64_t path = hash_bytes(request->path, request->path_size);
    if (!opens && is_known(path)) /* an answer serves as often as it is asked for; a descriptor, once */
        return;
    known[count++] = path;
    if (!begin_text())
        return;
    text[text_size++] = opens ? 'o' : 's';
    text[text_size++] = ' ';
    memcpy(text + text_size, request->path, request->path_size);
    text_size += request->path_size;
    text[text_size++] = '\n';
    news++;
}

const struct pal_sites *prefetch_profile_sites(void)
{
    return store_is_open() ? programs : NULL;
}

/* Their lines, and those of the programs. */
static void forget_sites(void)
{
    char *to = text + strlen(HEADER);
    for (char *line = to, *end; line < text + text_size; line = end) {
        end = (char *)memchr(line, '\n', (size_t)(text + text_size - line)) + 1;
        if (*line != 'k' && *line != 't')
            to = (char *)memmove(to, line, (size_t)(end - line)) + (end - line);
    }
    text_size = (size_t)(to - text);
}

static bool has_room(void)
{
    return text_size + SITE_LINE_MAX <= TEXT_MAX;
}

static size_t write_signed(char *to, int value)
{
    return (size_t)sprintf(to, " %s%x", value < 0 ? "-" : "", (unsigned)abs(value));
}

static void write_sites(const struct pal_sites *of)
{
    const uint64_t *is = of->program;
    if (!of->count || of->stale > of->before / 2 || !has_room()) /* another run finds them anew */
        return;
    text_size += (size_t)sprintf(text + text_size, "k %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "\n", is[0], is[1],
                                 is[2], is[3], is[4]);
    for (uint32_t i = 0; i < of->count && i < PAL_SITES && has_room(); i++) {
        const struct pal_site *site = &of->sites[i];
        if (!site->pages)
            continue;
        text_size += (size_t)sprintf(text + text_size, "t %" PRIx32 " %" PRIx32 " %" PRIx64 " %" PRIx32, site->page, site->pages,
                                     site->hash, site->at);
        text_size += write_signed(text + text_size, site->hole);
        text_size += write_signed(text + text_size, site->patch);
        text[text_size++] = '\n';
    }
}

/* Worth writing: sites of another program, many more, some that are of no use, or many that were not there any more. */
static bool is_news(const struct pal_sites *now, const struct pal_sites *was)
{
    for (uint32_t i = 0; i < was->before; i++)
        if (!now->sites[i].pages)
            return true;
    return now->stale > was->before / 2 || now->count > was->before + was->before / SITES_GROWTH;
}

void prefetch_profile_note_sites(const struct pal_sites *now)
{
    bool any = false;
    for (size_t i = 0; i < PAL_SITE_PROGRAMS && now[i].state != PAL_SITES_FREE; i++)
        any |= is_news(&now[i], &programs[i]);
    if (!any || !begin_text())
        return;
    forget_sites();
    for (size_t i = 0; i < PAL_SITE_PROGRAMS; i++)
        write_sites(&now[i]);
    news += NEWS_LEAST;
}

void prefetch_profile_keep(void)
{
    if (news >= NEWS_LEAST || (news && is_new))
        store_write(file_name, text, text_size, is_new);
}
