/* SPDX-License-Identifier: MIT */
/* The image, the same bytes as in every host: IMAGE is its path without the ending (a -D string).  start.c puts it in place. */
    .macro piece path, ending
    .incbin "\path\ending"
    .endm

    .section .limage, "dr"
    .globl image_text, image_text_end
    .balign 4096
image_text:
    piece IMAGE, .text
image_text_end:
    .section .ldata, "dr"
    .globl image_data, image_data_end
    .balign 4096
image_data:
    piece IMAGE, .data
image_data_end:
