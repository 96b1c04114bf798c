/* SPDX-License-Identifier: MIT */
/*
 * Included by the Makefile before all else when clang builds what is one image: an extern symbol lies in the same
 * image, so its address needs no table (.got is thrown away).  gcc assumes so for -fpie anyway.
 */
#ifndef PAL_HIDDEN_H
#define PAL_HIDDEN_H
#pragma GCC visibility push(hidden)
#endif
