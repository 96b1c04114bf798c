/* SPDX-License-Identifier: MIT */
/* execve: strings and auxiliary vector of the new program, limits, errors. */
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char self[4096];
extern char **environ;

static int run(char **argv, char **envp)
{
    int pid = fork(), status;
    CHECK(pid >= 0);
    if (pid == 0) {
        execve(self, argv, envp);
        _exit(errno == E2BIG ? 77 : 78);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- In the new program ---- */

static void check_auxiliary(void)
{
    CHECK(getauxval(AT_PAGESZ) == 4096 && getauxval(AT_CLKTCK) == 100 && getauxval(AT_SECURE) == 0);
    CHECK(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid() && getauxval(AT_GID) == getgid());
    CHECK(getauxval(AT_PHENT) == sizeof(Elf64_Phdr) && getauxval(AT_PHNUM) > 2);
    CHECK(strcmp((char *)getauxval(AT_PLATFORM), "x86_64") == 0);
    CHECK(strcmp((char *)getauxval(AT_EXECFN), self) == 0);
    const Elf64_Phdr *headers = (const Elf64_Phdr *)getauxval(AT_PHDR);
    CHECK(headers[0].p_type == PT_PHDR);
    CHECK((uintptr_t)headers - headers[0].p_vaddr + ((const Elf64_Ehdr *)((uintptr_t)headers - headers[0].p_offset))->e_entry ==
          getauxval(AT_ENTRY));
    CHECK(getauxval(AT_RANDOM) && getauxval(AT_HWCAP));
    /* Word order: strings above the tables, argv[0] first. */
    CHECK(environ[0] == NULL || environ[0] > (char *)environ);
}

static void check_vector_state(void)
{
    uint32_t mxcsr;
    uint16_t control;
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(control));
    CHECK(mxcsr == 0x1f80 && control == 0x37f);
}

static int odd(int argc, char **argv)
{
    CHECK(argc == 6);
    CHECK(strcmp(argv[1], "odd") == 0 && strcmp(argv[2], "") == 0 && strcmp(argv[3], "with space \n\t\xff") == 0);
    CHECK(strlen(argv[4]) == 100000 && argv[4][99999] == 'L' && strcmp(argv[5], "") == 0 && argv[6] == NULL);
    CHECK(strcmp(environ[0], "A=1") == 0 && strcmp(environ[1], "nonsense") == 0 && strcmp(environ[2], "") == 0);
    CHECK(environ[3] == NULL);
    check_auxiliary();
    check_vector_state();
    return 42;
}

static int many(int argc, char **argv)
{
    CHECK(argc == 20001);
    for (int i = 2; i < argc; i++)
        CHECK(argv[i][0] == 'x' && argv[i][1] == (char)('a' + i % 26) && argv[i][2] == 0);
    return 43;
}

/* ---- In the first ---- */

static void strings(void)
{
    static char large[131073], long_one[100001];
    memset(long_one, 'L', 100000);
    uint32_t mxcsr = 0x9fc0; /* the new program must not see this */
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    char *odd_argv[] = {"argv0", "odd", "", "with space \n\t\xff", long_one, "", NULL};
    char *odd_envp[] = {"A=1", "nonsense", "", NULL};
    CHECK(run(odd_argv, odd_envp) == 42);

    static char *argv[20002], bytes[26][3];
    for (int i = 0; i < 26; i++)
        bytes[i][0] = 'x', bytes[i][1] = (char)('a' + i);
    argv[0] = "", argv[1] = "many";
    for (int i = 2; i < 20001; i++)
        argv[i] = bytes[i % 26];
    CHECK(run(argv, odd_envp) == 43);

    memset(large, 'x', 131072); /* one more than MAX_ARG_STRLEN allows with its NUL */
    char *too_long[] = {"argv0", large, NULL};
    CHECK(run(too_long, NULL) == 77);
    large[131071] = 0;
    char *too_many[200] = {"argv0", "many"};
    for (int i = 2; i < 199; i++)
        too_many[i] = large;
    CHECK(run(too_many, NULL) == 77);
    char *none[] = {NULL}; /* argc becomes 1, argv[0] "" */
    CHECK(run(none, NULL) == 44);
}

static void errors(void)
{
    char *argv[] = {"x", NULL}, name[] = "/tmp/exec_args.XXXXXX";
    CHECK_FAILS(execve("/nonexistent", argv, NULL), ENOENT);
    CHECK_FAILS(execve("/tmp", argv, NULL), EACCES);
    CHECK_FAILS(execve("", argv, NULL), ENOENT);
    void *volatile nowhere = (void *)8;
    CHECK_FAILS(execve(self, (char **)nowhere, NULL), EFAULT);
    char *bad[] = {"x", nowhere, NULL};
    CHECK_FAILS(execve(self, bad, NULL), EFAULT);
    CHECK_FAILS(execve((char *)nowhere, argv, NULL), EFAULT);
    CHECK_FAILS(execve("/etc/passwd/x", argv, NULL), ENOTDIR);
    int fd = mkstemp(name);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_FAILS(execve(name, argv, NULL), EACCES); /* no x */
    CHECK(chmod(name, 0700) == 0);
    CHECK_FAILS(execve(name, argv, NULL), ENOEXEC); /* empty */
    fd = open(name, O_WRONLY);
    Elf64_Ehdr header = {.e_ident = ELFMAG, .e_type = ET_EXEC, .e_machine = EM_AARCH64, .e_phnum = 1,
                         .e_phentsize = sizeof(Elf64_Phdr), .e_phoff = sizeof header};
    CHECK(write(fd, &header, sizeof header) == sizeof header && close(fd) == 0);
    CHECK_FAILS(execve(name, argv, NULL), ENOEXEC);
    /* A right header whose interpreter is not there. */
    header.e_machine = EM_X86_64;
    Elf64_Phdr segment = {.p_type = PT_INTERP, .p_offset = sizeof header + sizeof segment, .p_filesz = 9};
    fd = open(name, O_WRONLY);
    CHECK(write(fd, &header, sizeof header) == sizeof header && write(fd, &segment, sizeof segment) == sizeof segment);
    CHECK(write(fd, "/missing", 9) == 9 && close(fd) == 0);
    CHECK_FAILS(execve(name, argv, NULL), ENOENT);
    CHECK(unlink(name) == 0);
}

int main(int argc, char **argv)
{
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(size > 0);
    self[size] = 0;
    if (argc > 1 && strcmp(argv[1], "odd") == 0)
        return odd(argc, argv);
    if (argc > 1 && strcmp(argv[1], "many") == 0)
        return many(argc, argv);
    if (argc == 1 && argv[0][0] == 0)
        return 44;
    strings();
    errors();
    return 0;
}
