/* Keys that the server was not told of, so that the module itself has to ask what the caller may do with them. */
#ifndef SMARTSIM_PERMISSION_H
#define SMARTSIM_PERMISSION_H

#include <stdbool.h>

#include "server.h"

/* Whether the server can be asked; Redis before 7.0 and KeyDB cannot. */
bool permission_can_be_asked(void);

/* The user of a command, to be freed; NULL if it is not known. */
User *permission_user(Context *ctx);

/* NULL, or the error if the user (none may do nothing) may not do all of `access` with a key. */
const char *permission_check(User *user, String *key, int access);

#endif
