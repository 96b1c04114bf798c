/* SPDX-License-Identifier: MIT */
/* /proc/sysvipc: what of System V IPC there is in the sandbox. */
#include "libos/ipc/ipc.h"
#include "libos/pseudofs/pseudofs.h"

static void table(struct seq_buffer *text, enum ipc_kind kind)
{
    char row[256];
    uint32_t at = 0;
    while (ipc_used() && ipc_row(kind, &at, row, sizeof row))
        seq_printf(text, "%s", row);
}

static void msg_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      "
                     "rtime      ctime\n");
    table(text, IPC_MSG);
}

static void sem_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
    table(text, IPC_SEM);
}

static void shm_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      "
                     "atime      dtime      ctime                   rss                  swap\n");
    table(text, IPC_SHM);
}

const struct pseudo_entry procipc_entries[] = {
    {.name = "msg", .mode = PSEUDO_TEXT, .text = msg_text},
    {.name = "sem", .mode = PSEUDO_TEXT, .text = sem_text},
    {.name = "shm", .mode = PSEUDO_TEXT, .text = shm_text},
    {.name = NULL},
};
