/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * No guard: included once for each vector that takes two registers, or four. HALF and WHOLE are the numbers
 * of AES blocks in one half and in both: HALF 1 and WHOLE 2 make v2 from two v1. The halves are independent,
 * so the processor computes them side by side.
 */

#define PASTE_(a, b, c)   a##b##c
#define PASTE(a, b, c)    PASTE_(a, b, c)
#define half              PASTE(v, HALF, )
#define whole             PASTE(v, WHOLE, )
#define half_(operation)  PASTE(v, HALF, _##operation)
#define whole_(operation) PASTE(v, WHOLE, _##operation)

typedef struct {
    half low, high;
} whole;

VECTOR_CALL whole whole_(load)(const uint8_t *from)
{
    return (whole){half_(load)(from), half_(load)(from + sizeof(half))};
}

VECTOR_CALL void whole_(store)(uint8_t *to, whole value)
{
    half_(store)(to, value.low);
    half_(store)(to + sizeof(half), value.high);
}

VECTOR_CALL whole whole_(repeat)(v1 block)
{
    return (whole){half_(repeat)(block), half_(repeat)(block)};
}

VECTOR_CALL whole whole_ (xor)(whole a, whole b)
{
    return (whole){half_(xor)(a.low, b.low), half_(xor)(a.high, b.high)};
}

VECTOR_CALL whole whole_ (and)(whole a, whole b)
{
    return (whole){half_(and)(a.low, b.low), half_(and)(a.high, b.high)};
}

VECTOR_CALL whole whole_(xor_and)(whole a, whole b, whole c)
{
    return (whole){half_(xor_and)(a.low, b.low, c.low), half_(xor_and)(a.high, b.high, c.high)};
}

VECTOR_CALL whole whole_(round)(whole in, whole key)
{
    return (whole){half_(round)(in.low, key.low), half_(round)(in.high, key.high)};
}

VECTOR_CALL v1 whole_(fold)(whole a)
{
    return v1_xor(half_(fold)(a.low), half_(fold)(a.high));
}

#undef PASTE
#undef PASTE_
#undef half
#undef whole
#undef half_
#undef whole_
#undef HALF
#undef WHOLE
