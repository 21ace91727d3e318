# SPDX-License-Identifier: GPL-2.0-or-later
# What the compliance suite's kernel and the suites on it are made with.
# ACS and ACS_OUT: another copy of that kernel.

MAKEFLAGS += --no-builtin-rules

CC      := gcc
LD      := ld
OBJCOPY := objcopy
ACS     ?= ../acs
ACS_OUT ?= ../../build/tests/acs
guest   := ../../guest

cflags := -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic -mno-red-zone \
    -mcmodel=kernel -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
    -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-delete-null-pointer-checks \
    -Wno-array-bounds -I. -I$(ACS) -I$(guest) -I../../include

# Without its tests: itself and the 'visor's own drivers
kernel = $(addprefix $(ACS_OUT)/,kernel.o context.o low.o lib/mem.o \
    $(patsubst %,visor/%.o,boot entry console mem pci pvh trap tdma svm))

link_kernel = $(CC) -nostdlib -static -no-pie -Wl,-n -Wl,--build-id=none -Wl,--no-warn-rwx-segments \
    -Wl,-T,$(guest)/visor/visor.ld
link_program = $(LD) -static -no-pie --build-id=none -z noexecstack --fatal-warnings --no-warn-rwx-segments \
    --orphan-handling=error -T $(ACS)/program.lds
