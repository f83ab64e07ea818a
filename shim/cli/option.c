/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/option.h"

#include <string.h>

#include "cli/message.h"

/* The word that getopt_long(3) did not take, or the letter in it. */
static const char *bad_word(char *const argv[], char letter[static 3])
{
    const char *word = argv[optind - 1];
    if (optopt == 0 || (strncmp(word, "--", 2) == 0 && strchr(word, '=')))
        return word;
    letter[0] = '-', letter[1] = (char)optopt, letter[2] = '\0';
    return letter;
}

int option_next(int argc, char **argv, const char *letters, const struct option *options)
{
    char letter[3];
    opterr = 0;
    const int option = getopt_long(argc, argv, letters, options, NULL);
    if (option == ':')
        message_error("%s: option '%s' lacks its argument; see 'sockseal %s --help'", argv[0],
                      argv[optind - 1], argv[0]);
    else if (option == OPTION_BAD)
        message_error("%s: there is no option '%s'; see 'sockseal %s --help'", argv[0],
                      bad_word(argv, letter), argv[0]);
    return option == ':' ? OPTION_BAD : option;
}
