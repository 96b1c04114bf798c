/* SPDX-License-Identifier: MIT */
/* Text that is as wide as the terminal. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "loader/cli/cli.h"

#define WIDTH_LEAST 40
#define WIDTH_MOST 120 /* longer lines are hard to read */

int output_width(int otherwise)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col)
        return otherwise;
    return size.ws_col < WIDTH_LEAST ? WIDTH_LEAST : size.ws_col > WIDTH_MOST ? WIDTH_MOST : size.ws_col;
}

int print_folded(int column, int indent, int width, const char *text)
{
    while (*text) {
        int size = (int)strcspn(text, " ");
        if (column > indent && column + 1 + size > width) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            column += printf(" ");
        }
        column += printf("%.*s", size, text);
        text += size + (text[size] == ' ');
    }
    return column;
}
