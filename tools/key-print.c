/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appsheath-key: keys as text and as JSON
 *
 * The names of the JSON fields are promised in the man page.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include "key-tool.h"

static const char *kind_of(const struct as_key_item *item)
{
    return item->type == AS_KEY_DATA ? "data" : "hash";
}

/* A path may hold any byte, JSON only UTF-8 */
void print_json_string(const char *text)
{
    g_autofree char *valid = NULL;
    const char *c;

    if (!text) {
        printf("null");
        return;
    }
    valid = g_utf8_make_valid(text, -1);
    putchar('"');
    for (c = valid; *c; c++) {
        if (*c == '"' || *c == '\\') {
            printf("\\%c", *c);
        } else if ((unsigned char)*c < ' ' || *c == 0x7f) {
            printf("\\u%04x", *c);
        } else {
            putchar(*c);
        }
    }
    putchar('"');
}

static void print_hash_json(const uint8_t hash[AS_HASH_SIZE])
{
    g_autofree char *print = fingerprint(hash), *digits = hex(hash);

    printf("\"fingerprint\": \"%s\", \"sha256\": \"%s\"", print, digits);
}

void print_list(const Key *key)
{
    const struct as_key_item *item;
    uint8_t hash[AS_HASH_SIZE];
    guint i;

    for (i = 0; i < key->items->len; i++) {
        g_autofree char *print = NULL;

        item = item_at(key, i);
        item_hash(item, hash);
        print = fingerprint(hash);
        printf("%s %s %s\n", print, kind_of(item), item->name);
    }
}

void print_item(const struct as_key_item *item)
{
    uint8_t hash[AS_HASH_SIZE];
    g_autofree char *print = NULL, *digits = NULL;

    item_hash(item, hash);
    print = fingerprint(hash);
    digits = hex(hash);
    printf("name:        %s\nkind:        %s\n", item->name, kind_of(item));
    if (item->type == AS_KEY_DATA) {
        printf("data:        %" PRIu64 " bytes\n", item->len);
    }
    printf("fingerprint: %s\nsha256:      %s\n", print, digits);
}

static void print_item_object(const struct as_key_item *item)
{
    uint8_t hash[AS_HASH_SIZE];

    item_hash(item, hash);
    printf("{\"name\": ");
    print_json_string(item->name);
    printf(", \"kind\": \"%s\", ", kind_of(item));
    if (item->type == AS_KEY_DATA) {
        printf("\"bytes\": %" PRIu64 ", ", item->len);
    }
    print_hash_json(hash);
    putchar('}');
}

static void print_items_json(const Key *key)
{
    guint i;

    printf("\"entries\": [");
    for (i = 0; i < key->items->len; i++) {
        printf("%s\n  ", i ? "," : "");
        print_item_object(item_at(key, i));
    }
    printf("]}\n");
}

void print_item_json(const struct as_key_item *item)
{
    print_item_object(item);
    putchar('\n');
}

void print_list_json(const Key *key)
{
    putchar('{');
    print_items_json(key);
}

void print_key(const Key *key)
{
    guint i;

    printf("key version %d, %u of %d entries, %" PRIu64 " bytes\n",
           AS_KEY_VERSION, key->items->len, AS_KEY_ENTRIES_MAX,
           as_key_bytes(key->bytes, AS_KEY_SECTOR));
    for (i = 0; i < key->items->len; i++) {
        putchar('\n');
        print_item(item_at(key, i));
    }
}

void print_key_json(const Key *key)
{
    printf("{\"version\": %d, \"bytes\": %" PRIu64 ", ", AS_KEY_VERSION,
           as_key_bytes(key->bytes, AS_KEY_SECTOR));
    print_items_json(key);
}

void print_match_json(const char *path, const Image *image, const char *name)
{
    printf("{\"image\": ");
    print_json_string(path);
    printf(", \"named\": %s, \"name\": ", name ? "true" : "false");
    print_json_string(name);
    printf(", ");
    print_hash_json(image->hash);
    printf("}\n");
}
