#include "worker/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

enum err account_find(struct ctx *cx, const char *text, struct account *out)
{
	int64_t number;
	struct passwd *pw;

	if (str_int(str_of(text), &number)) {
		if (number < 1 || number > UINT32_MAX - 1)
			return err_set(cx, ERR_INPUT, "find the account %s: a uid is 1 to 4294967294", text);
		pw = getpwuid((uid_t)number);
		*out = (struct account){ (uid_t)number, pw ? pw->pw_gid : (gid_t)number };
		return OK;
	}
	pw = getpwnam(text);
	if (!pw)
		return err_set(cx, ERR_INPUT, "find the account %s: there is none of that name", text);
	*out = (struct account){ pw->pw_uid, pw->pw_gid };
	return OK;
}

enum err account_become(struct ctx *cx, const struct account *who)
{
	if (setgroups(0, NULL) || setresgid(who->gid, who->gid, who->gid) ||
	    setresuid(who->uid, who->uid, who->uid))
		return err_errno(cx, "become uid %u", who->uid);
	if (setuid(0) == 0 || setgid(0) == 0)
		return err_set(cx, ERR_INTERNAL, "become uid %u: a way back to root is left", who->uid);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return err_errno(cx, "close uid %u to others", who->uid);
	return OK;
}
