#pragma once

/* Between the runner and stoker-unpack, the program that reads a package's zip for it: open files at
 * fixed numbers, an answer on its standard output, and an exit status. */
enum unpack_fd {
	UNPACK_FD_ZIP = 3,
	UNPACK_FD_FILES = 4, /* an empty folder, in which it makes all that the zip holds */
	UNPACK_FD_END = 5,
};

enum unpack_status {
	UNPACK_DONE = 0,    /* the answer is the number of bytes on the disk */
	UNPACK_REFUSED = 1, /* the package's fault, wherever it is tried; the answer says why */
	UNPACK_FAILED = 2,  /* this node's fault; the answer says why */
};

enum { UNPACK_ANSWER_BYTES = 600 };
