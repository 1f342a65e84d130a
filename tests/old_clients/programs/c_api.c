/* A program as C and Fortran applications have it: the Fortran library of SmartRedis calls these functions. The wheel has no
 * header, so what is used is declared here.
 *
 *     c_api MODEL SCRIPT
 */
#include <stdio.h>
#include <string.h>

enum type { DOUBLE = 1, FLOAT = 2 };
enum layout { CONTIGUOUS = 2, FORTRAN_CONTIGUOUS = 4 };

int SimpleCreateClient(const char *logger, size_t logger_len, void **client);
int DeleteCClient(void **client);
const char *SRGetLastError(void);
int put_tensor(void *client, const char *key, size_t key_len, void *data, const size_t *dims, size_t ndims,
               enum type type, enum layout layout);
int unpack_tensor(void *client, const char *key, size_t key_len, void *data, const size_t *dims, size_t ndims,
                  enum type type, enum layout layout);
int set_model_from_file(void *client, const char *name, size_t name_len, const char *file, size_t file_len,
                        const char *backend, size_t backend_len, const char *device, size_t device_len, int batch_size,
                        int min_batch_size, int min_batch_timeout, const char *tag, size_t tag_len, const char **inputs,
                        const size_t *input_lens, size_t input_count, const char **outputs, const size_t *output_lens,
                        size_t output_count);
int run_model(void *client, const char *name, size_t name_len, const char **inputs, size_t *input_lens,
              size_t input_count, const char **outputs, size_t *output_lens, size_t output_count);
int set_script_from_file(void *client, const char *name, size_t name_len, const char *device, size_t device_len,
                         const char *file, size_t file_len);
int run_script(void *client, const char *name, size_t name_len, const char *function, size_t function_len,
               const char **inputs, size_t *input_lens, size_t input_count, const char **outputs,
               size_t *output_lens, size_t output_count);

#define TEXT(text) text, strlen(text)

static int failed(int code) {
    if (code != 0) printf("error %d: %s\n", code, SRGetLastError());
    return code != 0;
}

static void show(void *client, const char *name) {
    float y[8];
    const size_t len = sizeof y / sizeof *y;
    if (failed(unpack_tensor(client, TEXT(name), y, &len, 1, FLOAT, CONTIGUOUS))) return;
    printf("%s:", name);
    for (size_t i = 0; i < len; i++) printf(" %g", y[i]);
    printf("\n");
}

int main(int argc, char **argv) {
    void *client = NULL;
    if (argc != 3 || failed(SimpleCreateClient(TEXT("test"), &client))) return 1;

    float x[4][2] = {{1, 5}, {2, 6}, {3, 7}, {4, 8}}; /* as Fortran has {2, 4} */
    const size_t dims[] = {2, 4};
    const char *in[] = {"x"}, *out[] = {"y"}, *result[] = {"z"};
    size_t one[] = {1};
    const char tag[] = {'\1'}; /* what the Fortran library sends when no tag is given */
    if (failed(put_tensor(client, TEXT("x"), x, dims, 2, FLOAT, FORTRAN_CONTIGUOUS))) return 1;
    if (failed(set_model_from_file(client, TEXT("m"), TEXT(argv[1]), TEXT("TORCH"), TEXT("CPU"), 0, 0, 0, tag, 1, NULL, NULL,
                                   0, NULL, NULL, 0))) {
        return 1;
    }
    if (failed(run_model(client, TEXT("m"), in, one, 1, out, one, 1))) return 1;
    if (failed(set_script_from_file(client, TEXT("s"), TEXT("CPU"), TEXT(argv[2])))) return 1;
    if (failed(run_script(client, TEXT("s"), TEXT("double"), in, one, 1, result, one, 1))) return 1;
    show(client, "x");
    show(client, "y");
    show(client, "z");
    run_model(client, TEXT("missing"), in, one, 1, out, one, 1);
    printf("%s\n", SRGetLastError());
    return failed(DeleteCClient(&client));
}
