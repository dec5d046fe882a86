/* digest/keccak_round.h -- the text of Keccak-f[1600], once, for every kernel.
 *
 * Before including it a kernel defines
 *   LANE           a vector of 64-bit lanes, one of each state
 *   XOR3(a, b, c)  a ^ b ^ c
 *   ROL(a, n)      rotate left by the constant n, 1..63
 *   CHI(a, b, c)   a ^ (~b & c)
 *   RC(a, i)       a ^ round constant i, in every state
 * Two rounds per turn, from A to E and back, so that no lane is ever moved.
 * Step names are those of FIPS 202 section 3.2.
 */

/* Theta's effect on column x is folded into each use: lane ^ C[x-1] ^ rol(C[x+1], 1). */
#define THETA(A)                                                                     \
    const LANE c0 = XOR3(XOR3(A[0], A[5], A[10]), A[15], A[20]);                     \
    const LANE c1 = XOR3(XOR3(A[1], A[6], A[11]), A[16], A[21]);                     \
    const LANE c2 = XOR3(XOR3(A[2], A[7], A[12]), A[17], A[22]);                     \
    const LANE c3 = XOR3(XOR3(A[3], A[8], A[13]), A[18], A[23]);                     \
    const LANE c4 = XOR3(XOR3(A[4], A[9], A[14]), A[19], A[24]);                     \
    const LANE r0 = ROL(c0, 1), r1 = ROL(c1, 1), r2 = ROL(c2, 1), r3 = ROL(c3, 1),   \
               r4 = ROL(c4, 1)

/* One row of E: rho and pi bring five lanes together, chi mixes them. */
#define ROW(E, to, b0, b1, b2, b3, b4)                                               \
    do {                                                                             \
        const LANE t0 = (b0), t1 = (b1), t2 = (b2), t3 = (b3), t4 = (b4);            \
        E[(to) + 0] = CHI(t0, t1, t2);                                               \
        E[(to) + 1] = CHI(t1, t2, t3);                                               \
        E[(to) + 2] = CHI(t2, t3, t4);                                               \
        E[(to) + 3] = CHI(t3, t4, t0);                                               \
        E[(to) + 4] = CHI(t4, t0, t1);                                               \
    } while (0)

#define COL0(v) XOR3(v, c4, r1)
#define COL1(v) XOR3(v, c0, r2)
#define COL2(v) XOR3(v, c1, r3)
#define COL3(v) XOR3(v, c2, r4)
#define COL4(v) XOR3(v, c3, r0)

#define ROUND(E, A, i)                                                               \
    do {                                                                             \
        THETA(A);                                                                    \
        ROW(E, 0, COL0(A[0]), ROL(COL1(A[6]), 44), ROL(COL2(A[12]), 43),             \
            ROL(COL3(A[18]), 21), ROL(COL4(A[24]), 14));                             \
        E[0] = RC(E[0], i);                                                          \
        ROW(E, 5, ROL(COL3(A[3]), 28), ROL(COL4(A[9]), 20), ROL(COL0(A[10]), 3),     \
            ROL(COL1(A[16]), 45), ROL(COL2(A[22]), 61));                             \
        ROW(E, 10, ROL(COL1(A[1]), 1), ROL(COL2(A[7]), 6), ROL(COL3(A[13]), 25),     \
            ROL(COL4(A[19]), 8), ROL(COL0(A[20]), 18));                              \
        ROW(E, 15, ROL(COL4(A[4]), 27), ROL(COL0(A[5]), 36), ROL(COL1(A[11]), 10),   \
            ROL(COL2(A[17]), 15), ROL(COL3(A[23]), 56));                             \
        ROW(E, 20, ROL(COL2(A[2]), 62), ROL(COL3(A[8]), 55), ROL(COL4(A[14]), 39),   \
            ROL(COL0(A[15]), 41), ROL(COL1(A[21]), 2));                              \
    } while (0)

#define KECCAK_F1600(A)                                                              \
    do {                                                                             \
        LANE E_[KECCAK_LANES];                                                       \
        for (unsigned round_ = 0; round_ < 24; round_ += 2) {                        \
            ROUND(E_, A, round_);                                                    \
            ROUND(A, E_, round_ + 1);                                                \
        }                                                                            \
    } while (0)
