#include "digest/keccak_kernel.h"

#include <string.h>

#define LANE uint64_t
#define XOR3(a, b, c) ((a) ^ ((b) ^ (c)))
#define ROL(a, n) ((a) << (n) | (a) >> (64 - (n)))
#define CHI(a, b, c) ((a) ^ (~(b) & (c)))
#define RC(a, i) ((a) ^ PA_KECCAK_RC[i])
#include "digest/keccak_round.h"

const uint64_t PA_KECCAK_RC[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000,
    0x000000000000808B, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A,
    0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

void pa_keccak_scalar(uint64_t *state) {
    uint64_t a[KECCAK_LANES];
    memcpy(a, state, sizeof a);
    KECCAK_F1600(a);
    memcpy(state, a, sizeof a);
}

void pa_keccak_absorb_x1(uint64_t *state, const uint8_t *const *from, size_t lanes) {
    for (size_t i = 0; i < lanes; ++i) {
        uint64_t v;
        memcpy(&v, from[0] + 8 * i, sizeof v);
        state[i] ^= v;
    }
}
