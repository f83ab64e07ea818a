/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* locale ADDRESS PORT POINT: in the locale of the environment, whose decimal point is POINT, connects to
 * itself a few times, then as often after a line on standard input; between the connections it changes the
 * locale to C's and back. */

#include <arpa/inet.h>
#include <locale.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(int good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void talk(int listener, const struct sockaddr_in *address)
{
    char text[4] = "";
    int client = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(client, (const struct sockaddr *)address, sizeof *address) == 0, "connect");
    setlocale(LC_ALL, "C");
    int server = accept(listener, NULL, NULL);
    must(server >= 0, "accept");
    must(setlocale(LC_ALL, "") != NULL, "setlocale");
    must(write(client, "ping", 4) == 4, "write");
    must(recv(server, text, 4, MSG_WAITALL) == 4 && memcmp(text, "ping", 4) == 0, "recv");
    close(client), close(server);
}

int main(int argc, char **argv)
{
    char line[8];
    if (argc != 4 || !setlocale(LC_ALL, "") || strcmp(localeconv()->decimal_point, argv[3]) != 0)
        return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(argv[2]))};
    address.sin_addr.s_addr = inet_addr(argv[1]);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 8) == 0,
         "listen");
    for (int i = 0; i < 5; i++)
        talk(listener, &address);
    printf("%.1f\n", 0.5);
    fflush(stdout);
    must(fgets(line, sizeof line, stdin) != NULL, "fgets");
    for (int i = 0; i < 5; i++)
        talk(listener, &address);
    return 0;
}
