/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A service under inetd, by nothing but stdio. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void complain(void)
{
    fprintf(stderr, "a complaint\n");
    printf("goodbye\n"); /* flushed at exit */
}

int main(void)
{
    char line[8192], command[9000];
    puts("welcome");
    fflush(stdout);
    atexit(complain);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "quit") == 0)
            break;
        printf("you said: %s\n", line);
        fflush(stdout);
        snprintf(command, sizeof command, "echo '%s' | tr a-z A-Z", line);
        if (system(command) != 0)
            return 1;
    }
    return 0;
}
