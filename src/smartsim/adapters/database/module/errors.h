/* Error texts that are made up as they are needed. */
#ifndef SMARTSIM_ERRORS_H
#define SMARTSIM_ERRORS_H

#include "server.h"

enum { ERROR_LENGTH = 4096 }; /* room for any error and its NUL */

extern const char *const error_wrong_type;
extern const char *const error_replica; /* the server became one while a request was under way */
extern const char *const error_late;    /* it was done when everybody had stopped waiting */

/* A text in a buffer that the next call uses again. */
__attribute__((format(printf, 1, 2))) const char *error_format(const char *format, ...);

/* A text and a name, which may be any bytes. */
const char *error_about(const char *text, const char *name, size_t len);

/* The same for any bytes: made one line, cut when it is long, with `ERR ` before a text of one word, since clients take the
 * first word of an error for its code. */
const char *error_line(const char *data, size_t len);

#endif
