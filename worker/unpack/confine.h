#pragma once
#include "base/ctx.h"

/* Gives up, for good, all that unpacking does not take: of the file system only making files, folders
 * and links below the open folder `files` stays (Landlock; where the kernel has none, what the account
 * may anyhow), no file may be larger than `file_bytes`, and the process dies with its parent. The
 * descriptors that are open stay as they are. ERR_INTERNAL if something that every kernel has fails. */
enum err confine(struct ctx *cx, int files, int64_t file_bytes);
