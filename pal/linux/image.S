/* SPDX-License-Identifier: MIT */
/* The image that the PAL is wrapped around: IMAGE is its path without the ending (a -D string).  Placed by host.ld. */
    .macro piece path, ending
    .incbin "\path\ending"
    .endm

    .section .image.text, "ax", @progbits
    piece IMAGE, .text
    .section .image.data, "a", @progbits
    piece IMAGE, .data
    .section .note.GNU-stack, "", @progbits
