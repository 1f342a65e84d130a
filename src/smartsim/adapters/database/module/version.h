/* The number of this module's version, as MODULE LIST and INFO report it. */
#ifndef SMARTSIM_VERSION_H
#define SMARTSIM_VERSION_H

enum { MODULE_VERSION = 1 };

#endif
