/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_DESCRIBE_H
#define SOCKSEAL_DESCRIBE_H

#include "conn/conn.h"
#include "diag/escape.h"

enum { DESCRIBE_TEXT = 2 * ADDRESS_TEXT + ESCAPE_BYTE_MAX * TLS_IDENTITY_MAX + 32 };

/* For log lines: "LOCAL <- PEER (identity 'NAME')", "->" for a connection that this side makes, without an
 * identity if none is known. Gives `text`. */
const char *describe_conn(const struct conn *conn, char text[static DESCRIBE_TEXT]);

/* Asks the kernel for the local address of the connection, of which fd is a descriptor, if it is not known
 * yet: connect(2) does not tell it. */
void describe_learn_local(struct conn *conn, int fd);

#endif
