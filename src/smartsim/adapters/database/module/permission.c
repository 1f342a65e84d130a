#include "permission.h"

#include "errors.h"

bool permission_can_be_asked(void) {
    return server.GetCurrentUserName != NULL && server.GetModuleUserFromUserName != NULL &&
           server.FreeModuleUser != NULL && server.ACLCheckKeyPermissions != NULL;
}

User *permission_user(Context *ctx) {
    if (!permission_can_be_asked()) return NULL;
    String *name = server.GetCurrentUserName(ctx);
    if (name == NULL) return NULL;
    User *user = server.GetModuleUserFromUserName(name);
    server.FreeString(ctx, name);
    return user;
}

const char *permission_check(User *user, String *key, int access) {
    if (user != NULL && server.ACLCheckKeyPermissions(user, key, access) == MODULE_OK) return NULL;
    size_t len;
    const char *name = server.StringPtrLen(key, &len);
    return error_about("NOPERM No permissions to access the key", name, len);
}
