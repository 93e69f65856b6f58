#pragma once

/* Removes `name` below the folder `at` (AT_FDCWD for the current one): a file, or a folder with all that
 * is in it, following no link. What cannot be removed stays; nothing there is fine. */
void tree_remove(int at, const char *name);
