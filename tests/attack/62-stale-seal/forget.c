/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thimble without its memory: linked around seal() and unseal() (ld --wrap), it
 * keeps the version of a sealed page beside it in ordinary memory, where the
 * 'visor has it too, and believes what it finds there.
 */
#include "os.h"
#include "../lib/mem.h"

void __real_seal(uint8_t *out, uint8_t *tag, const uint8_t *in, uint64_t page, uint64_t version);
bool __real_unseal(uint8_t *out, const uint8_t *tag, const uint8_t *in, uint64_t page,
                   uint64_t version);
void __wrap_seal(uint8_t *out, uint8_t *tag, const uint8_t *in, uint64_t page, uint64_t version);
bool __wrap_unseal(uint8_t *out, const uint8_t *tag, const uint8_t *in, uint64_t page,
                   uint64_t version);

void __wrap_seal(uint8_t *out, uint8_t *tag, const uint8_t *in, uint64_t page, uint64_t version)
{
    memcpy(tag + SEAL_TAG, &version, sizeof(version));
    __real_seal(out, tag, in, page, version);
}

bool __wrap_unseal(uint8_t *out, const uint8_t *tag, const uint8_t *in, uint64_t page,
                   uint64_t version)
{
    memcpy(&version, tag + SEAL_TAG, sizeof(version));
    return __real_unseal(out, tag, in, page, version);
}
