/* From the arguments of the commands that store a model or a script to a program. */
#ifndef SMARTSIM_PROGRAM_PARSE_H
#define SMARTSIM_PROGRAM_PARSE_H

#include "program.h"

/* Each fills in `program` from the arguments after the key. Returns NULL or the error. A payload of one argument is not
 * copied: the program holds the argument itself. `ours` says that the arguments were written by program_arguments; they
 * name inputs and outputs of all backends. */
typedef const char *ProgramParser(String **args, int count, bool ours, struct program *program);

/* backend device [TAG t] [BATCHSIZE n [MINBATCHSIZE m [MINBATCHTIMEOUT ms]]] [INPUTS n name... OUTPUTS n name...]
 * BLOB chunk... */
ProgramParser parse_model_store;

/* The same with INPUTS name... OUTPUTS name... */
ProgramParser parse_model_set;

/* device [TAG t] ENTRY_POINTS n function... SOURCE text */
ProgramParser parse_script_store;

/* device [TAG t] SOURCE text */
ProgramParser parse_script_set;

#endif
