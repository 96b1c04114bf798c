/* SPDX-License-Identifier: MIT */
/*
 * The form of a bundle:
 *
 *      pal-run, as far as it is mapped and without what no bundle runs (launch/gen/embed); zeros up to a page's end; squashfs; the policy, a manifest's text; struct bundle_end
 *
 * The classes of host calls that it is without stand in pal-run's ELF header, as flags: they are needed before anything can be read.
 * pal-run's ELF header tells it apart by seven bytes that are zero elsewhere, and says that its section headers, of which there are
 * none, lie where the squashfs begins: so `pal-run image ls BUNDLE` finds that.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/launch/launch.h"
#include "loader/pack/pack.h"

#define PAGE 4096u
#define VERSION 1
#define PROGRAM_MAX (64u << 20)
#define POLICY_MAX (32u << 10) /* a manifest's */
static const char magic[16] = "pal-run bundle\n";

static void must_write(int file, const void *bytes, size_t size, uint64_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t wrote = pwrite(file, (const char *)bytes + done, size - done, (off_t)(at + done));
        if (wrote < 0)
            fail(EXIT_OWN_FAILURE, "pack: the bundle can't be written: %s", strerror(errno));
        done += (size_t)wrote;
    }
}

/* ---- pal-run itself ---------------------------------------------------------------------------------------------- */

/* Up to where its last segment ends. */
static uint64_t mapped_size(const uint8_t *program, uint64_t size)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)program;
    uint64_t end = 0;
    for (unsigned i = 0; i < header->e_phnum && header->e_phoff + (i + 1u) * sizeof(Elf64_Phdr) <= size; i++) {
        const Elf64_Phdr *segment = (const Elf64_Phdr *)(program + header->e_phoff) + i;
        if (segment->p_type == PT_LOAD && segment->p_offset + segment->p_filesz > end)
            end = segment->p_offset + segment->p_filesz;
    }
    return end;
}

static Elf64_Phdr *segments_of(uint8_t *program, unsigned *count)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)program;
    *count = header->e_phnum;
    return (Elf64_Phdr *)(program + header->e_phoff);
}

/* Takes the segment out that no bundle needs: what lies behind it moves up, by whole pages.  The size then. */
static uint64_t leave_out(uint8_t *program, uint64_t size)
{
    extern const char left_out_start[] __attribute__((weak)); /* gen/embed; unit tests have none */
    unsigned count;
    Elf64_Phdr *segments = segments_of(program, &count), *out = NULL;
    for (unsigned i = 0; i < count; i++)
        if (segments[i].p_type == PT_LOAD && segments[i].p_vaddr == (uintptr_t)left_out_start)
            out = &segments[i];
    if (!out || out->p_offset % PAGE)
        return size;
    uint64_t from = out->p_offset, to = (from + out->p_filesz + PAGE - 1) / PAGE * PAGE;
    if (to > size)
        to = from + (size - from) / PAGE * PAGE;
    memmove(program + from, program + to, size - to);
    *out = (Elf64_Phdr){.p_type = PT_NULL};
    for (unsigned i = 0; i < count; i++)
        if (segments[i].p_offset >= to)
            segments[i].p_offset -= to - from;
    return size - (to - from);
}

static uint8_t *read_self(uint64_t *size)
{
    struct stat status;
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (self < 0 || fstat(self, &status) < 0)
        fail(EXIT_OWN_FAILURE, "pack: pal-run's own file can't be read: %s", strerror(errno));
    uint8_t *program = must_allocate((size_t)status.st_size + 1);
    ssize_t got = read(self, program, (size_t)status.st_size);
    close(self);
    *size = got == status.st_size && got > (ssize_t)sizeof(Elf64_Ehdr) ? mapped_size(program, (uint64_t)got) : 0;
    if (!*size || *size > (uint64_t)status.st_size || *size > PROGRAM_MAX)
        fail(EXIT_OWN_FAILURE, "pack: pal-run's own file can't be read");
    *size = leave_out(program, *size);
    return program;
}

void bundle_write(int file, struct tree *tree, const struct bundle_policy *policy, uint32_t time, struct bundle_end *end)
{
    *end = (struct bundle_end){.version = VERSION};
    memcpy(end->magic, magic, sizeof magic);
    uint8_t *program = read_self(&end->program);
    Elf64_Ehdr *header = (Elf64_Ehdr *)program;
    end->image = (end->program + PAGE - 1) / PAGE * PAGE;
    memcpy(header->e_ident + EI_PAD, BUNDLE_MARK, EI_NIDENT - EI_PAD);
    header->e_flags = policy->refused; /* of this machine there are none: see launch/picoprocess.c */
    header->e_shoff = end->image;
    header->e_shnum = header->e_shstrndx = 0;
    must_write(file, program, end->program, 0);
    end->image_size = squashfs_write(tree, file, end->image, time, false);
    end->policy = end->image + end->image_size;
    size_t size = end->policy_size = policy->size;
    must_write(file, policy->text, size, end->policy);
    must_write(file, end, sizeof *end - DIGEST_SIZE, end->policy + size);
    int error = digest_of(file, 0, end->policy + size + sizeof *end - DIGEST_SIZE, end->digest);
    if (error)
        fail(EXIT_OWN_FAILURE, "pack: the bundle can't be read again: %s", strerror(-error));
    must_write(file, end->digest, DIGEST_SIZE, end->policy + size + sizeof *end - DIGEST_SIZE);
}

/* ---- Reading one ------------------------------------------------------------------------------------------------- */

const char *bundle_read_end(int file, uint64_t size, struct bundle_end *out)
{
    if (size < sizeof *out || pread(file, out, sizeof *out, (off_t)(size - sizeof *out)) != sizeof *out ||
        memcmp(out->magic, magic, sizeof magic) != 0)
        return "it has no end, or is damaged";
    uint64_t room = size - sizeof *out;
    if (out->version != VERSION || out->reserved)
        return "it is of another form, or damaged";
    if (out->program > out->image || out->image > room || out->image_size > room - out->image ||
        out->policy != out->image + out->image_size || out->policy_size != room - out->policy || out->policy_size > POLICY_MAX)
        return "it is damaged: its parts are not where they should be";
    return NULL;
}

const char *bundle_check(int file, const struct bundle_end *end)
{
    uint8_t digest[DIGEST_SIZE];
    int error = digest_of(file, 0, end->policy + end->policy_size + sizeof *end - DIGEST_SIZE, digest);
    if (error)
        return strerror(-error);
    return memcmp(digest, end->digest, sizeof digest) ? "it was changed, or damaged: its digest is not that of its bytes" : NULL;
}
