#pragma once
/* The release, as `--version`, the footer of the pages and GET /version say it. */
#define STOKER_VERSION "0.1.0"
