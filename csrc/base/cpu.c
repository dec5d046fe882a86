#include "base/cpu.h"

#include <stddef.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

uint32_t pa_cpu_features(void) {
    uint32_t features = 0;
    unsigned a, b, c, d;
    /* Intel SDM vol. 2A, CPUID: leaf 80000001h ECX bit 5 = LZCNT; not every compiler names it. */
    __builtin_cpu_init(); /* reads XCR0 as well: a kernel that saves no zmm clears the bits */
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
        __get_cpuid(0x80000001U, &a, &b, &c, &d) && (c >> 5 & 1) != 0) {
        features |= PA_CPU_AVX2;
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
        features |= PA_CPU_AVX512;
    }
    /* Intel SDM vol. 2A, CPUID: leaf 7 EBX bit 29 = SHA; leaf 80000007h EDX bit 8 = invariant TSC. */
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) != 0 &&
        __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1")) {
        features |= PA_CPU_SHA;
    }
    if (__get_cpuid(0x80000007U, &a, &b, &c, &d) && (d >> 8 & 1) != 0) {
        features |= PA_CPU_INVARIANT_TSC;
    }
    return features;
}
#else
uint32_t pa_cpu_features(void) {
    return 0;
}
#endif

static const struct {
    const char *name;
    uint32_t needs;
} LEVELS[PA_LEVEL_COUNT] = {
    [PA_LEVEL_SCALAR] = {"scalar", 0},
    [PA_LEVEL_AVX2] = {"avx2", PA_CPU_AVX2},
    [PA_LEVEL_AVX512] = {"avx512", PA_CPU_AVX2 | PA_CPU_AVX512},
};

const char *pa_level_name(int level) {
    return level >= 0 && level < PA_LEVEL_COUNT ? LEVELS[level].name : NULL;
}

int pa_level_runs(int level) {
    return level >= 0 && level < PA_LEVEL_COUNT &&
           (pa_cpu_features() & LEVELS[level].needs) == LEVELS[level].needs;
}

pa_status pa_level_choose(const char *force, int *level) {
    const int any = force == NULL || *force == '\0';
    for (int i = PA_LEVEL_COUNT; i-- > 0;) {
        if ((any || strcmp(force, LEVELS[i].name) == 0) && pa_level_runs(i)) {
            *level = i;
            return PA_OK;
        }
    }
    return PA_E_UNSUPPORTED;
}
