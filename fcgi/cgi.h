#pragma once
#include "fcgi/process.h"

/* Answers the one request of a plain CGI process: variables from the environment, body from stdin,
 * answer to stdout. Returns the exit status. */
int cgi_serve(struct process *process);
