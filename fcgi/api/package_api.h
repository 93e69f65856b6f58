#pragma once
#include "fcgi/reply.h"
#include "model/code.h"

/* The zip packages of codes (ironworker-api.md 4.1 and 4.3). */

/* Checks the file that came with a registration, if one did, stores it unless it is there already, and
 * names it in `order`. ERR_INPUT says what is wrong with it, and with which entry. */
enum err package_api_take(struct request *rq, struct code_order *order);
/* GET P/codes/{id}/download[?revision=N]: the bytes as they were uploaded. */
enum err package_api_download(struct request *rq, struct reply *rp);
