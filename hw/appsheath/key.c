/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath: the user key (K1)
 *
 * A USB stick that holds a key image: QEMU's own usb-storage on an image that
 * it opens by itself, raw and read-only.  The tool appsheath-key makes images.
 *
 * QEMU interface:
 *  + -device appsheath-key,file=key.img; goes to the trusted USB ports
 *  + property "file": the image; or "drive", as usb-storage has it
 */
#include "qemu/osdep.h"
#include "block/block.h"
#include "hw/qdev-properties.h"
#include "hw/usb.h"
#include "hw/usb/desc.h"
#include "hw/usb/msd.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "system/block-backend.h"
#include "hw/appsheath/usbhost.h"
#include "core/key.h"

#define TYPE_APPSHEATH_KEY "appsheath-key"
OBJECT_DECLARE_TYPE(AppSheathKey, AppSheathKeyClass, APPSHEATH_KEY)

#define KEY_PRODUCT "AppSheath user key"
#define KEY_STR_PRODUCT 2       /* as in hw/usb/dev-storage.c */

struct AppSheathKey {
    MSDState msd;
    char *file;
};

struct AppSheathKeyClass {
    USBDeviceClass parent_class;
    USBDeviceRealize parent_realize;
};

/* Say what is wrong with the file before the block layer says it its way */
static const char *key_driver(const char *file, Error **errp)
{
    struct stat st;

    if (stat(file, &st)) {
        error_setg_errno(errp, errno, "cannot open the key '%s'", file);
        error_append_hint(errp, "Make a key with: appsheath-key init %s\n",
                          file);
        return NULL;
    }
    if (S_ISBLK(st.st_mode)) {
        return "host_device";
    }
    if (!S_ISREG(st.st_mode)) {
        error_setg(errp, "the key '%s' is neither a file nor a block device",
                   file);
        return NULL;
    }
    if (!st.st_size || st.st_size % AS_KEY_SECTOR) {
        error_setg(errp, "'%s' is not a key: it has %" PRId64 " bytes, not a "
                   "multiple of %d", file, (int64_t)st.st_size, AS_KEY_SECTOR);
        error_append_hint(errp, "If it was a key it has been cut off. Look at "
                          "it with: appsheath-key show %s\n", file);
        return NULL;
    }
    return "file";
}

static BlockBackend *key_open(const char *file, Error **errp)
{
    ERRP_GUARD();
    const char *driver = key_driver(file, errp);
    BlockBackend *blk;
    QDict *options;

    if (!driver) {
        return NULL;
    }
    options = qdict_new();
    qdict_put_str(options, "driver", "raw");
    qdict_put_str(options, "file.driver", driver);
    qdict_put_str(options, "file.filename", file);
    blk = blk_new_open(NULL, NULL, options, 0, errp);
    if (!blk) {
        error_prepend(errp, "cannot open the key: ");
    }
    return blk;
}

static void key_realize(USBDevice *dev, Error **errp)
{
    ERRP_GUARD();
    AppSheathKey *key = APPSHEATH_KEY(dev);
    BlockBackend *blk = NULL;

    if (!key->file == !key->msd.conf.blk) {
        error_setg(errp, "appsheath-key needs file=IMAGE (or drive=ID), "
                   "and not both");
        return;
    }
    if (key->file) {
        blk = key_open(key->file, errp);
        if (!blk) {
            return;
        }
        blk_attach_dev(blk, DEVICE(dev));
        key->msd.conf.blk = blk;
    }
    APPSHEATH_KEY_GET_CLASS(key)->parent_realize(dev, errp);
    blk_unref(blk);             /* the SCSI disk has its own */
    if (!*errp) {
        usb_desc_set_string(dev, KEY_STR_PRODUCT, KEY_PRODUCT);
    }
}

static const Property key_properties[] = {
    DEFINE_PROP_STRING("file", AppSheathKey, file),
};

static void key_class_init(ObjectClass *klass, void *data)
{
    AppSheathKeyClass *kc = APPSHEATH_KEY_CLASS(klass);
    DeviceClass *dc = DEVICE_CLASS(klass);
    USBDeviceClass *uc = USB_DEVICE_CLASS(klass);

    kc->parent_realize = uc->realize;
    uc->realize = key_realize;
    uc->product_desc = KEY_PRODUCT;
    dc->desc = "AppSheath user key";
    dc->bus_type = TYPE_APPSHEATH_USB_BUS;
    device_class_set_props(dc, key_properties);
}

static const TypeInfo key_types[] = {
    {
        .name = TYPE_APPSHEATH_KEY,
        .parent = "usb-storage",
        .instance_size = sizeof(AppSheathKey),
        .class_size = sizeof(AppSheathKeyClass),
        .class_init = key_class_init,
    },
};

DEFINE_TYPES(key_types)
