/* SPDX-License-Identifier: MIT */
/* ELF facts, of real programs and of files that are none. */
#include <criterion/criterion.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/launch/launch.h"

static int file_of(const void *bytes, size_t size)
{
    int fd = memfd_create("elf", 0);
    cr_assert(fd >= 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
    return fd;
}

static const char *inspect(const void *bytes, size_t size, struct elf_facts *facts)
{
    int fd = file_of(bytes, size);
    const char *problem = elf_inspect(fd, size, facts);
    close(fd);
    return problem;
}

static char *read_true(size_t *size)
{
    struct stat status;
    int fd = open("/bin/true", O_RDONLY);
    cr_assert(fd >= 0 && fstat(fd, &status) == 0);
    char *bytes = malloc((size_t)status.st_size);
    cr_assert_eq(read(fd, bytes, (size_t)status.st_size), status.st_size);
    close(fd);
    *size = (size_t)status.st_size;
    return bytes;
}

Test(elf, dynamic_program)
{
    struct elf_facts facts;
    size_t size;
    char *bytes = read_true(&size);
    cr_assert_null(inspect(bytes, size, &facts));
    cr_assert_eq(facts.kind, ELF_DYNAMIC_PIE);
    cr_assert_str_eq(facts.interpreter, "/lib64/ld-linux-x86-64.so.2");
    cr_assert_eq(facts.build_id_size, 20);
    cr_assert_eq(facts.machine, EM_X86_64);
}

Test(elf, no_programs)
{
    struct elf_facts facts;
    size_t size;
    char *bytes = read_true(&size);
    cr_assert_str_eq(inspect("", 0, &facts), "is empty");
    cr_assert(strstr(inspect("hello\n", 6, &facts), "neither"));
    for (size_t cut = 4; cut < 900; cut += 7)
        cr_assert_not_null(inspect(bytes, cut, &facts), "cut at %zu", cut);
    cr_assert(strstr(inspect(bytes, size / 2, &facts), "truncated"));
    Elf64_Ehdr *header = (Elf64_Ehdr *)bytes;
    header->e_machine = EM_AARCH64;
    cr_assert(strstr(inspect(bytes, size, &facts), "AArch64"));
    header->e_machine = EM_X86_64;
    header->e_ident[EI_CLASS] = ELFCLASS32;
    cr_assert(strstr(inspect(bytes, size, &facts), "32-bit"));
    header->e_ident[EI_CLASS] = ELFCLASS64;
    header->e_type = ET_REL;
    cr_assert(strstr(inspect(bytes, size, &facts), "object"));
    header->e_type = ET_DYN;
    header->e_phnum = 0;
    cr_assert_not_null(inspect(bytes, size, &facts));
    header->e_phnum = 13;
    header->e_phoff = UINT64_MAX - 8;
    cr_assert_not_null(inspect(bytes, size, &facts));
}

Test(elf, sparse_file_of_10_gigabytes)
{
    struct elf_facts facts;
    int fd = memfd_create("sparse", 0);
    cr_assert_eq(ftruncate(fd, 10ll << 30), 0);
    cr_assert_not_null(elf_inspect(fd, 10ull << 30, &facts));
    close(fd);
}

/* No crash, no hang, and no facts that point outside. */
Test(elf, every_bit_of_the_headers)
{
    struct elf_facts facts;
    size_t size;
    char *bytes = read_true(&size);
    int fd = file_of(bytes, size);
    for (size_t at = 0; at < 900 * 8; at++) {
        char flipped = (char)(bytes[at / 8] ^ 1 << at % 8);
        cr_assert_eq(pwrite(fd, &flipped, 1, (off_t)(at / 8)), 1);
        elf_inspect(fd, size, &facts);
        cr_assert(memchr(facts.interpreter, 0, sizeof facts.interpreter));
        cr_assert(facts.build_id_size <= sizeof facts.build_id);
        cr_assert_eq(pwrite(fd, bytes + at / 8, 1, (off_t)(at / 8)), 1);
    }
}
