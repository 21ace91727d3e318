/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ChaCha20-Poly1305 and SHA-256 of mbedTLS, as Thimble needs them. */
#include <mbedtls/chachapoly.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#include "os.h"
#include "../lib/mem.h"

/* Debian 13's mbedTLS calls them as Debian 12's calls those that cannot fail */
#if MBEDTLS_VERSION_MAJOR >= 3
#define mbedtls_sha256_starts_ret mbedtls_sha256_starts
#define mbedtls_sha256_update_ret mbedtls_sha256_update
#define mbedtls_sha256_finish_ret mbedtls_sha256_finish
#endif

#define KEY_WORDS 4
#define TRIES 10

static mbedtls_chachapoly_context sealer;

/* The CPU gives no number when its source runs dry for the moment. */
bool random_get(uint64_t *value)
{
    unsigned i;
    bool got;

    for (i = 0; i < TRIES; i++) {
        asm volatile("rdrand %0" : "=r"(*value), "=@ccc"(got));
        if (got) {
            return true;
        }
    }
    return false;
}

/* A key of this boot only: what was sealed in an earlier life stays closed. */
bool seal_init(void)
{
    uint64_t key[KEY_WORDS];
    unsigned i;
    bool good;

    for (i = 0; i < KEY_WORDS; i++) {
        if (!random_get(&key[i])) {
            return false;
        }
    }
    mbedtls_chachapoly_init(&sealer);
    good = mbedtls_chachapoly_setkey(&sealer, (uint8_t *)key) == 0;
    memset(key, 0, sizeof(key));
    asm volatile("" : : "m"(key));
    return good;
}

/* Versions never repeat, over all pages, so they make the nonce. */
static void set_nonce(uint8_t nonce[12], uint64_t version)
{
    memset(nonce, 0, 12);
    memcpy(nonce, &version, sizeof(version));
}

void seal(uint8_t *out, uint8_t tag[SEAL_TAG], const uint8_t *in, uint64_t page,
          uint64_t version)
{
    uint8_t nonce[12];

    set_nonce(nonce, version);
    mbedtls_chachapoly_encrypt_and_tag(&sealer, AS_PAGE_SIZE, nonce,
                                       (uint8_t *)&page, sizeof(page), in, out,
                                       tag);
}

bool unseal(uint8_t *out, const uint8_t tag[SEAL_TAG], const uint8_t *in,
            uint64_t page, uint64_t version)
{
    uint8_t nonce[12];

    set_nonce(nonce, version);
    return mbedtls_chachapoly_auth_decrypt(&sealer, AS_PAGE_SIZE, nonce,
                                           (uint8_t *)&page, sizeof(page), tag,
                                           in, out) == 0;
}

void digest(uint8_t out[32], const char *label, const char *text)
{
    mbedtls_sha256_context hash;

    mbedtls_sha256_init(&hash);
    mbedtls_sha256_starts_ret(&hash, 0);
    mbedtls_sha256_update_ret(&hash, (const uint8_t *)label, strlen(label));
    mbedtls_sha256_update_ret(&hash, (const uint8_t *)text, strlen(text));
    mbedtls_sha256_finish_ret(&hash, out);
    mbedtls_sha256_free(&hash);
}

/* The library's self-tests would call these; nothing here calls the self-tests. */
void unused_by_thimble(void)
{
    give_up(EXIT_FAULT, "Thimble: a library did what it should not; I end.\n");
}

/* How Debian 13's mbedTLS forgets keys: no compiler may leave it out */
void __explicit_bzero_chk(void *start, size_t len, size_t room)
{
    if (len > room) {
        unused_by_thimble();
    }
    memset(start, 0, len);
    asm volatile("" : : "r"(start) : "memory");
}

/* The canary was overwritten. */
void __stack_chk_fail(void)
{
    give_up(EXIT_FAULT, "Thimble: my stack was overwritten; I end.\n");
}
