/* SPDX-License-Identifier: MIT */
/* The host's /etc/hosts, hosts(5): addresses that names have without a name server. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/resolver/resolver.h"

static struct { char *name; uint8_t address[16]; } hosts[HOSTS_MAX];
static size_t host_count;

static bool read_address(const char *text, uint8_t out[16])
{
    memset(out, 0, 16);
    if (inet_pton(AF_INET6, text, out) == 1)
        return true;
    out[10] = out[11] = 0xff;
    return inet_pton(AF_INET, text, out + 12) == 1;
}

void hosts_read(void)
{
    FILE *file = fopen("/etc/hosts", "re");
    char *line = NULL;
    size_t size = 0;
    while (file && getline(&line, &size, file) > 0) {
        uint8_t address[16];
        char *rest = line;
        line[strcspn(line, "#\n")] = 0;
        char *word = strtok_r(rest, " \t\r", &rest);
        if (!word || !read_address(word, address))
            continue;
        while ((word = strtok_r(NULL, " \t\r", &rest)) && host_count < HOSTS_MAX) {
            for (char *c = word; *c; c++)
                *c = (char)tolower((unsigned char)*c);
            memcpy(hosts[host_count].address, address, sizeof address);
            if ((hosts[host_count].name = strdup(word)))
                host_count++;
        }
    }
    free(line);
    if (file)
        fclose(file);
}

int hosts_find(const char *name, bool is_4, uint8_t addresses[DNS_ADDRESSES][16])
{
    int count = 0;
    bool any = false;
    for (size_t i = 0; i < host_count; i++) {
        if (strcmp(hosts[i].name, name) != 0)
            continue;
        any = true;
        if (address_is_4(hosts[i].address) == is_4 && count < (int)DNS_ADDRESSES)
            memcpy(addresses[count++], hosts[i].address, 16);
    }
    return any ? count : -1;
}
