/* What applications in C and Fortran exchange with those in Python: the Fortran library calls these functions, with its
 * own order of elements. The wheel has no header, so what is used is declared here.
 *
 *     interoperability put|get
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum type { DOUBLE = 1, FLOAT, INT8, INT16, INT32, INT64, UINT8, UINT16 };
enum meta_type { META_DOUBLE = 1, META_FLOAT, META_INT32, META_INT64, META_UINT32, META_UINT64 };
enum layout { CONTIGUOUS = 2, FORTRAN_CONTIGUOUS = 4 };

int SimpleCreateClient(const char *logger, size_t logger_len, void **client);
int DeleteCClient(void **client);
const char *SRGetLastError(void);
int CDataSet(const char *name, size_t name_len, void **dataset);
int DeallocateDataSet(void **dataset);
int put_tensor(void *client, const char *key, size_t key_len, void *data, const size_t *dims, size_t ndims,
               enum type type, enum layout layout);
int unpack_tensor(void *client, const char *key, size_t key_len, void *data, const size_t *dims, size_t ndims,
                  enum type type, enum layout layout);
int add_tensor(void *dataset, const char *name, size_t name_len, void *data, const size_t *dims, size_t ndims,
               enum type type, enum layout layout);
int unpack_dataset_tensor(void *dataset, const char *name, size_t name_len, void *data, const size_t *dims,
                          size_t ndims, enum type type, enum layout layout);
int add_meta_scalar(void *dataset, const char *name, size_t name_len, const void *data, enum meta_type type);
int add_meta_string(void *dataset, const char *name, size_t name_len, const char *data, size_t data_len);
int get_meta_scalars(void *dataset, const char *name, size_t name_len, size_t *length, enum meta_type *type,
                     void **data);
int get_meta_strings(void *dataset, const char *name, size_t name_len, char ***data, size_t *count, size_t **lengths);
int put_dataset(void *client, void *dataset);
int get_dataset(void *client, const char *name, size_t name_len, void **dataset);
int append_to_list(void *client, const char *list, size_t list_len, const void *dataset);
int get_list_length(void *client, const char *list, size_t list_len, int *length);

#define TEXT(text) text, strlen(text)
#define CHECK(call) \
    if ((call) != 0) return printf("%s: %s\n", #call, SRGetLastError()), 1

/* {1, 2, 3}, {4, 5, -6} as Fortran has it, and as C does */
#define EACH_TYPE(DO) \
    DO(float64, double, DOUBLE) DO(float32, float, FLOAT) DO(int8, int8_t, INT8) DO(int16, int16_t, INT16) \
    DO(int32, int32_t, INT32) DO(int64, int64_t, INT64) DO(uint8, uint8_t, UINT8) DO(uint16, uint16_t, UINT16)
#define EACH_META(DO) \
    DO(float64, double, META_DOUBLE) DO(float32, float, META_FLOAT) DO(int32, int32_t, META_INT32) \
    DO(int64, int64_t, META_INT64) DO(uint32, uint32_t, META_UINT32) DO(uint64, uint64_t, META_UINT64)

static const char *const texts[] = {"", "wörld", "\xe9t\xe9"}; /* the last is Latin-1 */
static const size_t shape[] = {2, 3}, elements[] = {6};

static int put(void *client) {
    void *dataset = NULL;
    float tensor[] = {1, 4, 2, 5, 3, -6};
    CHECK(put_tensor(client, TEXT("tensor"), tensor, shape, 2, FLOAT, FORTRAN_CONTIGUOUS));
    CHECK(CDataSet(TEXT("dataset"), &dataset));
#define ADD(name, c_type, type) \
    { \
        c_type data[] = {1, 4, 2, 5, 3, (c_type)-6}; \
        CHECK(add_tensor(dataset, TEXT(#name), data, shape, 2, type, FORTRAN_CONTIGUOUS)); \
    }
    EACH_TYPE(ADD)
#define ADD_META(name, c_type, type) \
    { \
        const c_type data[] = {7, (c_type)-8}; \
        for (int i = 0; i < 2; i++) CHECK(add_meta_scalar(dataset, TEXT("meta " #name), &data[i], type)); \
    }
    EACH_META(ADD_META)
    for (int i = 0; i < 3; i++) CHECK(add_meta_string(dataset, TEXT("texts"), TEXT(texts[i])));
    CHECK(put_dataset(client, dataset));
    CHECK(append_to_list(client, TEXT("list"), dataset));
    CHECK(DeallocateDataSet(&dataset));
    return 0;
}

static int get(void *client) {
    void *dataset = NULL, *data = NULL;
    float tensor[6];
    size_t length, *lengths;
    enum meta_type found;
    char **strings;
    int entries;
    CHECK(unpack_tensor(client, TEXT("tensor"), tensor, elements, 1, FLOAT, CONTIGUOUS));
    printf("tensor:");
    for (int i = 0; i < 6; i++) printf(" %g", tensor[i]);
    CHECK(get_dataset(client, TEXT("dataset"), &dataset));
#define SHOW(name, c_type, type) \
    { \
        c_type room[6]; \
        CHECK(unpack_dataset_tensor(dataset, TEXT(#name), room, elements, 1, type, CONTIGUOUS)); \
        printf("\n%s:", #name); \
        for (int i = 0; i < 6; i++) printf(" %.20Lg", (long double)room[i]); \
    }
    EACH_TYPE(SHOW)
#define SHOW_META(name, c_type, type) \
    CHECK(get_meta_scalars(dataset, TEXT("meta " #name), &length, &found, &data)); \
    printf("\n%smeta %s:", found == type ? "" : "not ", #name); \
    for (size_t i = 0; i < length; i++) printf(" %.20Lg", (long double)((c_type *)data)[i]);
    EACH_META(SHOW_META)
    CHECK(get_meta_strings(dataset, TEXT("texts"), &strings, &length, &lengths));
    for (size_t i = 0; i < length; i++) printf("\ntext: %.*s", (int)lengths[i], strings[i]);
    CHECK(get_list_length(client, TEXT("list"), &entries));
    printf("\nlength: %d\n", entries);
    CHECK(DeallocateDataSet(&dataset));
    return 0;
}

int main(int argc, char **argv) {
    void *client = NULL;
    if (argc != 2) return 1;
    CHECK(SimpleCreateClient(TEXT("test"), &client));
    const int failed = strcmp(argv[1], "put") == 0 ? put(client) : get(client);
    CHECK(DeleteCClient(&client));
    return failed;
}
