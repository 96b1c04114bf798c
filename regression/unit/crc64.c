/* SPDX-License-Identifier: MIT */
/* CRC-64/XZ's check value, in one piece and in two. */
#include <criterion/criterion.h>
#include <lzma.h>

Test(crc64, check_value)
{
    const uint8_t *digits = (const uint8_t *)"123456789";
    cr_assert_eq(lzma_crc64(digits, 9, 0), 0x995dc9bbdf1939fau);
    cr_assert_eq(lzma_crc64(digits + 5, 4, lzma_crc64(digits, 5, 0)), 0x995dc9bbdf1939fau);
    cr_assert_eq(lzma_crc64(digits, 0, 0), 0u);
}
