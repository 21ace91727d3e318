/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appsheath-key: make, read, change and examine a user key (K1, L2).
 *
 * Data goes to stdout, messages to stderr.  A key file is never changed in
 * place: a new one is written beside it, synced and renamed over it, so that
 * at any moment there is the old key or the new one.  key-tool.h says what is
 * where.
 */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include "key-tool.h"

/* Options of all commands; each command knows only its own */
static struct {
    gboolean force, json, raw, help;
    char *file, *hash, *data, *meant;
    char **rest;
} opt;

/* ------------------------------------------------------------------ */
/* Commands                                                             */
/* ------------------------------------------------------------------ */

static int run_init(void)
{
    Key *key = key_open(opt.rest[0]);

    if (key->device) {
        device_may_init(key->device, opt.force, opt.meant);
    } else if (opt.meant) {
        die(key->path, "is no block device: --yes-i-mean is for those");
    } else if (key->exists && !opt.force) {
        die(key->path, "exists: choose another name, or give --force to "
            "replace it by an empty key");
    }
    key_save(key);
    key_free(key);
    return 0;
}

static void fill_item(struct as_key_item *item, Image *image)
{
    const char *path = opt.file ? opt.file : opt.data;

    if (opt.hash) {
        parse_hash(opt.hash, image->hash);
    } else {
        image_load(image, path, opt.raw, opt.data);
    }
    item->type = opt.data ? AS_KEY_DATA : AS_KEY_HASH;
    if (!opt.data) {
        item->hash = image->hash;
        return;
    }
    if (!image->data) {
        die(path, "is too big for a key: name it by its hash (--file)");
    }
    if (image->bytes < AS_PAGE_SIZE) {
        die(path, "is too small for an image: data are at least %d bytes",
            AS_PAGE_SIZE);
    }
    item->data = image->data;
    item->len = image->bytes;
}

static int run_add(void)
{
    struct as_key_item item = { 0 };
    Image image = { 0 };
    const char *name = opt.rest[1], *twin;
    Key *key;

    if (!!opt.file + !!opt.hash + !!opt.data != 1) {
        die(NULL, "add: give one of --file, --hash and --data");
    }
    if (opt.raw && opt.hash) {
        die(NULL, "add: --raw goes with --file or --data only");
    }
    key = key_change(opt.rest[0]);
    check_new_name(key, name);
    fill_item(&item, &image);
    twin = find_hash(key, image.hash);
    if (twin) {
        die(key->path, "names this image already, '%s': an image has one name "
            "(use rename, or remove that entry first)", twin);
    }
    note_lookalikes(key, name);
    g_strlcpy(item.name, name, sizeof(item.name));
    g_array_append_val(key->items, item);
    key_save(key);
    key_free(key);
    g_free(image.data);
    return 0;
}

static int run_list(void)
{
    Key *key = key_read(opt.rest[0]);

    (opt.json ? print_list_json : print_list)(key);
    key_free(key);
    return 0;
}

static int run_show(void)
{
    Key *key = key_read(opt.rest[0]);
    const struct as_key_item *item;

    if (opt.rest[1]) {
        item = item_at(key, need_name(key, opt.rest[1]));
        (opt.json ? print_item_json : print_item)(item);
    } else {
        (opt.json ? print_key_json : print_key)(key);
    }
    key_free(key);
    return 0;
}

static int run_remove(void)
{
    Key *key = key_change(opt.rest[0]);

    g_array_remove_index(key->items, need_name(key, opt.rest[1]));
    key_save(key);
    key_free(key);
    return 0;
}

static int run_rename(void)
{
    Key *key = key_change(opt.rest[0]);
    guint i = need_name(key, opt.rest[1]);
    struct as_key_item *item;

    check_new_name(key, opt.rest[2]);
    item = &g_array_index(key->items, struct as_key_item, i);
    g_strlcpy(item->name, opt.rest[2], sizeof(item->name));
    note_lookalikes(key, opt.rest[2]);
    key_save(key);
    key_free(key);
    return 0;
}

/* By the very code that the hardware uses */
static unsigned match(const Key *key, const Image *image,
                      char name[AS_NAME_MAX + 1])
{
    g_autofree const uint8_t **pages = NULL;
    uint64_t count, i;

    if (image->data) {
        count = image->bytes / AS_PAGE_SIZE + 1;
        pages = g_new(const uint8_t *, count);
        for (i = 0; i < count; i++) {
            pages[i] = image->data + i * AS_PAGE_SIZE;
        }
    }
    return as_key_match(key->bytes, image->hash, pages, image->bytes, name);
}

static void tell_match(const Key *key, const Image *image, const char *name)
{
    g_autofree char *print = fingerprint(image->hash);

    if (opt.json) {
        print_match_json(opt.rest[1], image, name);
    } else if (name) {
        printf("%s\n", name);
    } else {
        note(key->path, "does not name %s (%s)", opt.rest[1], print);
    }
}

static int run_verify(void)
{
    Key *key = key_read(opt.rest[0]);
    char name[AS_NAME_MAX + 1];
    Image image;
    unsigned found;

    image_load(&image, opt.rest[1], opt.raw, true);
    found = match(key, &image, name);
    if (found > 1) {
        die(key->path, "has %u names for %s, hardware refuses it: remove all "
            "but one", found, opt.rest[1]);
    }
    tell_match(key, &image, found ? name : NULL);
    key_free(key);
    g_free(image.data);
    return found ? 0 : EXIT_NO;
}

static int run_doctor(void)
{
    return doctor(opt.rest[0], opt.json);
}

/* ------------------------------------------------------------------ */
/* Command line                                                         */
/* ------------------------------------------------------------------ */

#define HELP_OPTION { "help", 'h', 0, G_OPTION_ARG_NONE, &opt.help, NULL, NULL }
#define REST_OPTION { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, \
                      &opt.rest, NULL, NULL }
#define JSON_OPTION { "json", 0, 0, G_OPTION_ARG_NONE, &opt.json, NULL, NULL }
#define RAW_OPTION  { "raw", 0, 0, G_OPTION_ARG_NONE, &opt.raw, NULL, NULL }

static const GOptionEntry init_options[] = {
    { "force", 'f', 0, G_OPTION_ARG_NONE, &opt.force, NULL, NULL },
    { "yes-i-mean", 0, 0, G_OPTION_ARG_FILENAME, &opt.meant, NULL, NULL },
    HELP_OPTION, REST_OPTION, { 0 }
};

static const GOptionEntry add_options[] = {
    { "file", 0, 0, G_OPTION_ARG_FILENAME, &opt.file, NULL, NULL },
    { "hash", 0, 0, G_OPTION_ARG_FILENAME, &opt.hash, NULL, NULL },
    { "data", 0, 0, G_OPTION_ARG_FILENAME, &opt.data, NULL, NULL },
    RAW_OPTION, HELP_OPTION, REST_OPTION, { 0 }
};

static const GOptionEntry print_options[] = {
    JSON_OPTION, HELP_OPTION, REST_OPTION, { 0 }
};

static const GOptionEntry verify_options[] = {
    JSON_OPTION, RAW_OPTION, HELP_OPTION, REST_OPTION, { 0 }
};

static const GOptionEntry plain_options[] = {
    HELP_OPTION, REST_OPTION, { 0 }
};

static const struct Command {
    const char *name, *alias;
    unsigned min, max;
    const GOptionEntry *options;
    int (*run)(void);
    const char *synopsis, *does, *help;
} commands[] = {
    { "init", "create", 1, 1, init_options, run_init,
      "init [--force [--yes-i-mean DEVICE]] FILE", "make an empty key",
      "  --force              replace FILE if it exists; use a DEVICE that is\n"
      "                       fixed, large or holds something\n"
      "  --yes-i-mean DEVICE  and lose all that the DEVICE holds\n" },
    { "add", NULL, 2, 2, add_options, run_add,
      "add FILE NAME (--file IMAGE | --hash HASH | --data IMAGE) [--raw]",
      "trust an image under a name",
      "  --file IMAGE  the image, by its SHA-256\n"
      "  --hash HASH   an image you do not have: SHA256:base64 or hex\n"
      "  --data IMAGE  the image, stored whole: needs no hash unit\n"
      "  --raw         take all of IMAGE, which is no sheath image\n" },
    { "list", "ls", 1, 1, print_options, run_list,
      "list [--json] FILE", "print fingerprint, kind and name, an entry a line",
      "  --json   for programs\n" },
    { "show", NULL, 1, 2, print_options, run_show,
      "show [--json] FILE [NAME]", "print all about a key, or about one entry",
      "  --json   for programs\n" },
    { "remove", "rm", 2, 2, plain_options, run_remove,
      "remove FILE NAME", "trust the image of that name no more", "" },
    { "rename", NULL, 3, 3, plain_options, run_rename,
      "rename FILE OLD NEW", "give an entry another name", "" },
    { "verify", NULL, 2, 2, verify_options, run_verify,
      "verify [--json] [--raw] FILE IMAGE",
      "print the name that the key gives the image; exit 1 if none",
      "  --json   for programs\n"
      "  --raw    take all of IMAGE, which is no sheath image\n" },
    { "doctor", NULL, 1, 1, print_options, run_doctor,
      "doctor [--json] FILE",
      "tell all that is wrong or unusual about a key; exit 1 if wrong",
      "  --json   for programs\n" },
};

static int print_help(void)
{
    unsigned i;

    printf("appsheath-key: the user key, which says what programs you trust\n"
           "\n");
    for (i = 0; i < G_N_ELEMENTS(commands); i++) {
        printf("  appsheath-key %s\n      %s\n", commands[i].synopsis,
               commands[i].does);
    }
    printf("\n'appsheath-key COMMAND --help' tells more.\n"
           "FILE may be a block device.  Exit status: 0 done, 1 verify: not "
           "named,\ndoctor: problems, 2 error.\n");
    return 0;
}

static int print_command_help(const struct Command *command)
{
    printf("appsheath-key %s\n%s\n", command->synopsis, command->does);
    if (command->alias) {
        printf("(also: %s)\n", command->alias);
    }
    printf("\n%s  --help   this\n  --       what follows is no option\n",
           command->help);
    return 0;
}

static int print_version(void)
{
    printf("appsheath-key: AppSheath ABI %d, key format %d\n", AS_ABI_VERSION,
           AS_KEY_VERSION);
    return 0;
}

static int run_command(const struct Command *command, int argc, char **argv)
{
    GOptionContext *context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    unsigned count;
    bool parsed;

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, command->options, NULL);
    parsed = g_option_context_parse(context, &argc, &argv, &error);
    g_option_context_free(context);
    if (!parsed) {
        die(NULL, "%s: %s: see 'appsheath-key %s --help'", command->name,
            error->message, command->name);
    }
    if (opt.help) {
        return print_command_help(command);
    }
    count = opt.rest ? g_strv_length(opt.rest) : 0;
    if (count < command->min || count > command->max) {
        die(NULL, "%s: too %s arguments: usage: appsheath-key %s",
            command->name, count < command->min ? "few" : "many",
            command->synopsis);
    }
    return command->run();
}

static int run(int argc, char **argv)
{
    unsigned i;

    if (argc < 2) {
        die(NULL, "no command: see 'appsheath-key --help'");
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        return print_help();
    }
    if (!strcmp(argv[1], "--version")) {
        return print_version();
    }
    for (i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!g_strcmp0(argv[1], commands[i].name) ||
            !g_strcmp0(argv[1], commands[i].alias)) {
            return run_command(&commands[i], argc - 1, argv + 1);
        }
    }
    die(NULL, "unknown command '%s': see 'appsheath-key --help'", argv[1]);
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);

    if (fflush(stdout) || ferror(stdout)) {
        die(NULL, "cannot write to standard output: %s: %s", strerror(errno),
            remedy(errno));
    }
    g_strfreev(opt.rest);
    return status;
}
