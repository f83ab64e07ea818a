/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REGION_FILE_H
#define SOCKSEAL_REGION_FILE_H

/* The file of a region (region.h), a memfd: the annexes, then the areas. So its size can be set by writing
 * the last byte of a page that is used anyway. */

#include <sys/stat.h>

#include "shm/region_table.h"

/* Where an area and its annex begin, in bytes. */
size_t region_file_area(const struct region *region, unsigned index);
size_t region_file_annex(unsigned index);

/* A new one of this size, whose descriptor is the caller's. -1: the kernel refuses. */
int region_file_make(unsigned areas);

/* The areas in the file of this descriptor; 0: it is none of a region's. */
unsigned region_file_areas(int fd, struct stat *info);

/* The region's descriptor. The program may have put one of its own at that number, by a raw system call:
 * then -1. */
int region_file_descriptor(const struct region *region, unsigned index);

/* The region in this file, if this process has it. */
struct region *region_file_find(const struct stat *info);

#endif
