/* SPDX-License-Identifier: MIT */
/* Partition tables (GPT, MBR and others), by libblkid; in the helper. */
#include <blkid/blkid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/images/images.h"

#define SECTOR 512

static blkid_probe probe;

void partitions_prepare(int file)
{
    probe = blkid_new_probe();
    if (!probe || blkid_probe_set_device(probe, file, 0, 0) != 0 || blkid_probe_enable_superblocks(probe, 0) != 0 ||
        blkid_probe_enable_partitions(probe, 1) != 0)
        probe = NULL;
}

int partitions_list(image_tell *tell, void *to)
{
    blkid_partlist list = probe ? blkid_probe_get_partitions(probe) : NULL;
    int count = list ? blkid_partlist_numof_partitions(list) : 0;
    for (int i = 0; i < count; i++) {
        blkid_partition partition = blkid_partlist_get_partition(list, i);
        const char *label = blkid_partition_get_name(partition), *type = blkid_partition_get_type_string(partition);
        char name[IMAGE_NAME_MAX + 1], number[16];
        snprintf(number, sizeof number, "0x%02x", (unsigned)blkid_partition_get_type(partition));
        snprintf(name, sizeof name, "%s %s", type ? type : number, label ? label : "");
        const struct image_entry entry = {
            .inode = (uint64_t)blkid_partition_get_partno(partition),
            .node = (uint64_t)blkid_partition_get_start(partition) * SECTOR,
            .size = (uint64_t)blkid_partition_get_size(partition) * SECTOR,
            .name_size = (uint16_t)strlen(name),
        };
        int error = tell(to, &entry, name, "");
        if (error)
            return error;
    }
    return 0;
}
