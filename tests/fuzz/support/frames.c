/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "frames.h"

#include <string.h>

enum { FRAME_HEADER = 3, FRAMES_MAX = 48, CONTENT_MAX = 4096 };

bool frames_next(struct input *input, struct frame *frame)
{
    if (input->left == 0)
        return false;
    frame->kind = input_byte(input);
    frame->len = input_number(input);
    if (frame->len > input->left)
        frame->len = input->left;
    frame->content = input->at;
    input->at += frame->len;
    input->left -= frame->len;
    return true;
}

struct script {
    struct frame frames[FRAMES_MAX + 1];
    size_t count;
    unsigned random;
};

static unsigned pick(struct script *script, size_t below)
{
    script->random = script->random * 1664525 + 1013904223;
    return below ? (script->random >> 8) % (unsigned)below : 0;
}

static void change_content(const struct frames_kinds *kinds, struct script *script,
                           uint8_t content[static CONTENT_MAX])
{
    struct frame *frame = &script->frames[pick(script, script->count)];
    size_t len = frame->len < CONTENT_MAX ? frame->len : CONTENT_MAX, changed = SIZE_MAX;
    if (len > 0)
        memcpy(content, frame->content, len);
    if (kinds->mutate && pick(script, 3) > 0)
        changed = kinds->mutate(frame->kind % kinds->count, content, len, CONTENT_MAX, script->random);
    frame->len = changed != SIZE_MAX ? changed : LLVMFuzzerMutate(content, len, CONTENT_MAX);
    frame->content = content;
}

static void insert_frame(const struct frames_kinds *kinds, struct script *script)
{
    if (script->count == FRAMES_MAX)
        return;
    size_t at = pick(script, script->count + 1);
    memmove(script->frames + at + 1, script->frames + at, (script->count - at) * sizeof script->frames[0]);
    script->count++;
    if (pick(script, 2) && script->count > 1) {
        size_t from = pick(script, script->count);
        script->frames[at] = script->frames[from == at ? (at + 1) % script->count : from];
    } else {
        script->frames[at] = (struct frame){.kind = (uint8_t)pick(script, kinds->count), .content = NULL};
    }
}

static void change_order(struct script *script)
{
    struct frame *a = &script->frames[pick(script, script->count)];
    struct frame *b = &script->frames[pick(script, script->count)], kept = *a;
    *a = *b;
    *b = kept;
}

static void remove_frame(struct script *script)
{
    size_t at = pick(script, script->count);
    script->count--;
    memmove(script->frames + at, script->frames + at + 1, (script->count - at) * sizeof script->frames[0]);
}

static size_t write_script(const struct script *script, uint8_t options, uint8_t *data, size_t max)
{
    static uint8_t out[FRAMES_MAX * (CONTENT_MAX + FRAME_HEADER) + 1];
    size_t len = 0;
    out[len++] = options;
    for (size_t i = 0; i < script->count; i++) {
        const struct frame *frame = &script->frames[i];
        if (len + FRAME_HEADER + frame->len > max || len + FRAME_HEADER + frame->len > sizeof out)
            break;
        out[len++] = frame->kind;
        out[len++] = (uint8_t)(frame->len >> 8);
        out[len++] = (uint8_t)frame->len;
        if (frame->len > 0)
            memcpy(out + len, frame->content, frame->len);
        len += frame->len;
    }
    memcpy(data, out, len);
    return len;
}

size_t frames_mutate(const struct frames_kinds *kinds, uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static uint8_t content[CONTENT_MAX];
    struct input input = {data, size};
    struct script script = {.random = seed};
    uint8_t options = input_byte(&input);
    while (script.count < FRAMES_MAX && frames_next(&input, &script.frames[script.count]))
        script.count++;
    switch (pick(&script, script.count ? 12 : 2)) {
    case 0:
        options = (uint8_t)pick(&script, 256);
        break;
    case 1:
    case 2:
        insert_frame(kinds, &script);
        break;
    case 3:
        remove_frame(&script);
        break;
    case 4:
        change_order(&script);
        break;
    case 5:
        script.frames[pick(&script, script.count)].kind = (uint8_t)pick(&script, kinds->count);
        break;
    default:
        change_content(kinds, &script, content);
    }
    return write_script(&script, options, data, max);
}
