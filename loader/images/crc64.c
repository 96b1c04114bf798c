/* SPDX-License-Identifier: MIT */
/*
 * CRC-64 as liblzma wants it (ECMA-182, reflected), in place of its own: that asks the processor by cpuid at each start of
 * pal-run which way to take, and each question may cost microseconds under a hypervisor.
 */
#include <lzma.h>

#define POLYNOMIAL 0xc96c5795d7870f42u

static uint64_t of_byte(uint64_t byte)
{
    for (int bit = 0; bit < 8; bit++)
        byte = byte >> 1 ^ (byte & 1 ? POLYNOMIAL : 0);
    return byte;
}

uint64_t lzma_crc64(const uint8_t *bytes, size_t size, uint64_t crc)
{
    static uint64_t table[256];
    for (uint64_t byte = 0; !table[255] && byte < 256; byte++)
        table[byte] = of_byte(byte);
    crc = ~crc;
    while (size--)
        crc = table[(crc ^ *bytes++) & 0xff] ^ crc >> 8;
    return ~crc;
}
