/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * AEGIS with LANES states side by side (RFC 10032, "The AEGIS-128X Algorithm"; with one lane it is
 * AEGIS-128L). No guard: a backend includes it for LANES 1, 2 and 4, after it has made the vector v1, v2 or
 * v4 of as many AES blocks in REGISTERS registers, with these operations:
 *
 *   load(from), store(to, a)  no alignment is asked for. load() reads its memory once, whatever the compiler
 *                             does: the program may be writing there, and ciphertext and tag must agree
 *   repeat(block)             the same block in each lane
 *   xor(a, b), and(a, b), xor_and(a, b, c)    the last is a ^ (b & c)
 *   round(in, key)            AESRound(in, key) in each lane
 *   fold(a)                   the lanes xored into one block
 *
 * and, on one block: v1_lengths(first, second), which are little-endian, and tag_fits(tag, other, long_tag),
 * in constant time; wipe_memory(to, len) and wipe_registers().
 *
 * Secrets: what a message leaves on the stack lies in the frame of run_seal() or run_open(). So these are
 * never inlined, and wipe_stack(), called behind them, has a frame of WIPED_STACK bytes at the same place.
 */

#define PASTE_(a, b, c) a##b##c
#define PASTE(a, b, c)  PASTE_(a, b, c)
#define vec             PASTE(v, LANES, )
#define vec_(operation) PASTE(v, LANES, _##operation)
#define this_(name)     PASTE(name, _x, LANES)
#define state           this_(state)

#if REGISTERS == 1
#define UNROLL_UPDATES(times) UNROLL(times)
#else /* the states do not fit the registers anyway */
#define UNROLL_UPDATES(times)
#endif

enum { this_(HALF) = 16 * LANES, this_(BLOCK) = 2 * this_(HALF) };

struct state {
    vec s0, s1, s2, s3, s4, s5, s6, s7;
};

/*
 * Update(m0, m1), where m0 ^ S0 and m1 ^ S4 are given in two halves: k0 and x0, k1 and x1. A round adds its
 * key last, so AESRound(S7, S0 ^ m0) is AESRound(S7, k0) ^ x0. What comes late goes into x: so no round has
 * to wait for another but the one before it.
 */
VECTOR_CALL void this_(update_halves)(struct state *s, vec k0, vec x0, vec k1, vec x1)
{
    const vec s0 = vec_(xor)(vec_(round)(s->s7, k0), x0);
    s->s7 = vec_(round)(s->s6, s->s7);
    s->s6 = vec_(round)(s->s5, s->s6);
    s->s5 = vec_(round)(s->s4, s->s5);
    s->s4 = vec_(xor)(vec_(round)(s->s3, k1), x1);
    s->s3 = vec_(round)(s->s2, s->s3);
    s->s2 = vec_(round)(s->s1, s->s2);
    s->s1 = vec_(round)(s->s0, s->s1);
    s->s0 = s0;
}

VECTOR_CALL void this_(update)(struct state *s, vec m0, vec m1)
{
    this_(update_halves)(s, m0, s->s0, m1, s->s4);
}

VECTOR_CALL vec this_(keystream0)(const struct state *s)
{
    return vec_(xor_and)(vec_(xor)(s->s6, s->s1), s->s2, s->s3);
}

VECTOR_CALL vec this_(keystream1)(const struct state *s)
{
    return vec_(xor_and)(vec_(xor)(s->s2, s->s5), s->s6, s->s7);
}

/* Init(key, nonce) */
VECTOR_CALL void this_(init)(struct state *s, const struct aead_message *message)
{
    const vec key = vec_(repeat)(v1_load(message->key)), nonce = vec_(repeat)(v1_load(message->nonce));
    const vec c0 = vec_(repeat)(v1_load(fibonacci)), c1 = vec_(repeat)(v1_load(fibonacci + 16));
    const vec context = vec_(load)(lane_contexts[LANES / 2]);
    s->s0 = s->s4 = vec_(xor)(key, nonce);
    s->s1 = s->s3 = c1;
    s->s2 = c0;
    s->s5 = s->s7 = vec_(xor)(key, c0);
    s->s6 = vec_(xor)(key, c1);
    UNROLL_UPDATES(10)
    for (int i = 0; i < 10; i++) {
        if (LANES > 1) {
            s->s3 = vec_(xor)(s->s3, context);
            s->s7 = vec_(xor)(s->s7, context);
        }
        this_(update)(s, nonce, key);
    }
}

/* Absorb() of the associated data; `last` is what does not fill a block, padded with zeros. */
VECTOR_CALL void this_(absorb)(struct state *s, const struct aead_message *message, const uint8_t *last)
{
    const uint8_t *ad = message->ad;
    size_t len = message->ad_len;
    for (; len >= this_(BLOCK); len -= this_(BLOCK), ad += this_(BLOCK))
        this_(update)(s, vec_(load)(ad), vec_(load)(ad + this_(HALF)));
    if (len > 0)
        this_(update)(s, vec_(load)(last), vec_(load)(last + this_(HALF)));
}

/* Enc() or Dec() of whole blocks. */
VECTOR_CALL void this_(blocks)(struct state *s, const uint8_t *in, uint8_t *out, size_t count, bool opening)
{
    UNROLL_UPDATES(4)
    for (; count > 0; count--, in += this_(BLOCK), out += this_(BLOCK)) {
        const vec in0 = vec_(load)(in), in1 = vec_(load)(in + this_(HALF));
        const vec z0 = this_(keystream0)(s), z1 = this_(keystream1)(s);
        if (opening)
            this_(update_halves)(s, in0, vec_(xor)(s->s0, z0), in1, vec_(xor)(s->s4, z1));
        else
            this_(update)(s, in0, in1);
        vec_(store)(out, vec_(xor)(in0, z0));
        vec_(store)(out + this_(HALF), vec_(xor)(in1, z1));
    }
}

/* Enc() or DecPartial() of the `len` bytes at `block` that do not fill it and have zeros behind them. What is
 * written behind these bytes counts for nothing. */
VECTOR_CALL void this_(partial)(struct state *s, uint8_t *block, size_t len, bool opening)
{
    const uint8_t *mask = (const uint8_t *)ones_and_zeros + BLOCK_MAX - len;
    const vec in0 = vec_(load)(block), in1 = vec_(load)(block + this_(HALF));
    vec out0 = vec_(xor)(in0, this_(keystream0)(s)), out1 = vec_(xor)(in1, this_(keystream1)(s));
    if (opening) {
        out0 = vec_(and)(out0, vec_(load)(mask));
        out1 = vec_(and)(out1, vec_(load)(mask + this_(HALF)));
    }
    this_(update)(s, opening ? out0 : in0, opening ? out1 : in1);
    vec_(store)(block, out0);
    vec_(store)(block + this_(HALF), out1);
}

/* All whole blocks of a message, however its parts are cut; `len` is a multiple of the block. */
VECTOR_CALL void this_(parts)(struct state *s, const struct aead_message *message, size_t len, bool opening)
{
    struct aead_cursor at = {message->parts, 0};
    while (len > 0) {
        const size_t count = aead_cursor_here(&at, len) / this_(BLOCK);
        if (count > 0) {
            this_(blocks)(s, at.part->in + at.offset, at.part->out + at.offset, count, opening);
            at.offset += count * this_(BLOCK);
            len -= count * this_(BLOCK);
        } else {
            uint8_t block[this_(BLOCK)];
            struct aead_cursor out = at;
            aead_parts_gather(&at, block, this_(BLOCK));
            this_(blocks)(s, block, block, 1, opening);
            aead_parts_scatter(&out, block, this_(BLOCK));
            len -= this_(BLOCK);
        }
    }
}

/* Finalize(). A long tag has two blocks; a short one is these two xored, without S7. */
VECTOR_CALL void this_(finalize)(struct state *s, size_t ad_len, size_t len, bool long_tag, v1 tag[static 2])
{
    const vec t = vec_(xor)(s->s2, vec_(repeat)(v1_lengths((uint64_t)ad_len * 8, (uint64_t)len * 8)));
    UNROLL_UPDATES(7)
    for (int i = 0; i < 7; i++)
        this_(update)(s, t, t);
    const vec first = vec_(xor)(vec_(xor)(s->s0, s->s1), vec_(xor)(s->s2, s->s3));
    const vec second = vec_(xor)(vec_(xor)(s->s4, s->s5), s->s6);
    if (long_tag) {
        tag[0] = vec_(fold)(first);
        tag[1] = vec_(fold)(vec_(xor)(second, s->s7));
    } else {
        tag[0] = tag[1] = vec_(fold)(vec_(xor)(first, second));
    }
}

/*
 * A whole message. Seals to `seal_tag`, or compares with `open_tag` and says whether it fits. What does not
 * fill a block is put together before there is a state: its bytes have then reached the memory when they are
 * needed, and the state can stay in registers.
 */
VECTOR_CALL bool this_(message)(const struct aead_message *message, uint8_t *seal_tag,
                                const uint8_t *open_tag, size_t tag_len)
{
    const bool opening = open_tag != NULL, long_tag = tag_len == AEGIS_TAG_LONG_LEN;
    const size_t len = aead_parts_len(message), rest = len % this_(BLOCK),
                 ad_rest = message->ad_len % this_(BLOCK);
    uint8_t last[this_(BLOCK)] = {0}, last_ad[this_(BLOCK)] = {0};
    struct state s;
    v1 tag[2];
    aead_parts_gather_tail(message, last, rest);
    if (ad_rest > 0)
        aead_copy_short(last_ad, message->ad + (message->ad_len - ad_rest), ad_rest);
    this_(init)(&s, message);
    this_(absorb)(&s, message, last_ad);
    this_(parts)(&s, message, len - rest, opening);
    if (rest > 0)
        this_(partial)(&s, last, rest, opening);
    this_(finalize)(&s, message->ad_len, len, long_tag, tag);
    aead_parts_scatter_tail(message, last, rest);
    if (opening)
        return tag_fits(tag, open_tag, long_tag);
    v1_store(seal_tag, tag[0]);
    if (long_tag)
        v1_store(seal_tag + 16, tag[1]);
    return true;
}

static __attribute__((noinline)) void this_(run_seal)(const struct aead_message *message, uint8_t *tag,
                                                      size_t tag_len)
{
    (void)this_(message)(message, tag, NULL, tag_len);
}

static __attribute__((noinline)) bool this_(run_open)(const struct aead_message *message, const uint8_t *tag,
                                                      size_t tag_len)
{
    return this_(message)(message, NULL, tag, tag_len);
}

static __attribute__((noinline)) void this_(wipe_stack)(void)
{
    uint8_t frame[WIPED_STACK];
    wipe_memory(frame, sizeof frame);
    __asm__ volatile("" ::"r"(frame) : "memory");
    wipe_registers();
}

static void this_(seal)(const struct aead_message *message, uint8_t *tag, size_t tag_len)
{
    this_(run_seal)(message, tag, tag_len);
    this_(wipe_stack)();
}

static bool this_(open)(const struct aead_message *message, const uint8_t *tag, size_t tag_len)
{
    bool fits = this_(run_open)(message, tag, tag_len);
    this_(wipe_stack)();
    return fits;
}

#undef state
#undef this_
#undef vec_
#undef vec
#undef PASTE
#undef PASTE_
#undef UNROLL_UPDATES
#undef LANES
#undef REGISTERS
#undef WIPED_STACK
