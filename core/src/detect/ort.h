/* The few slots of ONNX Runtime's C API that the model uses.
 *
 * OrtApi is a table of function pointers whose order is a promise of the project (new functions are
 * only ever appended), so a slot number is as stable as a name. They are
 * those of version 17, which loading asks the library for; a probe run then shows that model and
 * library do what the bundle says (model.c). */
#ifndef HAECHI_DETECT_ORT_H
#define HAECHI_DETECT_ORT_H

#include <stddef.h>
#include <stdint.h>

#define ORT_API_VERSION_USED 17

enum ort_slot {
    ORT_GET_ERROR_MESSAGE = 2,
    ORT_CREATE_ENV = 3,
    ORT_CREATE_SESSION_FROM_ARRAY = 8,
    ORT_RUN = 9,
    ORT_CREATE_SESSION_OPTIONS = 10,
    ORT_DISABLE_MEM_PATTERN = 17,
    ORT_DISABLE_CPU_MEM_ARENA = 19,
    ORT_SET_SESSION_GRAPH_OPTIMIZATION_LEVEL = 23,
    ORT_SET_INTRA_OP_NUM_THREADS = 24,
    ORT_SET_INTER_OP_NUM_THREADS = 25,
    ORT_CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE = 49,
    ORT_CREATE_CPU_MEMORY_INFO = 69,
    ORT_RELEASE_ENV = 92,
    ORT_RELEASE_STATUS = 93,
    ORT_RELEASE_MEMORY_INFO = 94,
    ORT_RELEASE_SESSION = 95,
    ORT_RELEASE_VALUE = 96,
    ORT_RELEASE_SESSION_OPTIONS = 100,
};

typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtValue OrtValue;

enum { ORT_LOGGING_LEVEL_ERROR = 3, ORT_DEVICE_ALLOCATOR = 0, ORT_MEM_TYPE_DEFAULT = 0 };
enum { ORT_ENABLE_ALL = 99 };
enum { ORT_TENSOR_FLOAT = 1, ORT_TENSOR_INT64 = 7 };

typedef struct ort_api_base {
    const void *const *(*get_api)(uint32_t version);
    const char *(*get_version_string)(void);
} ort_api_base;

typedef const char *(*ort_get_error_message)(const OrtStatus *);
typedef OrtStatus *(*ort_create_env)(int level, const char *id, OrtEnv **);
typedef OrtStatus *(*ort_create_session_from_array)(const OrtEnv *, const void *, size_t,
                                                    const OrtSessionOptions *, OrtSession **);
typedef OrtStatus *(*ort_run)(OrtSession *, const OrtRunOptions *, const char *const *input_names,
                              const OrtValue *const *inputs, size_t input_count,
                              const char *const *output_names, size_t output_count,
                              OrtValue **outputs);
typedef OrtStatus *(*ort_create_session_options)(OrtSessionOptions **);
typedef OrtStatus *(*ort_options_flag)(OrtSessionOptions *);
typedef OrtStatus *(*ort_options_int)(OrtSessionOptions *, int);
typedef OrtStatus *(*ort_create_tensor)(const OrtMemoryInfo *, void *data, size_t bytes,
                                        const int64_t *shape, size_t rank, int type, OrtValue **);
typedef OrtStatus *(*ort_create_cpu_memory_info)(int allocator, int mem_type, OrtMemoryInfo **);
typedef void (*ort_release)(void *);

#endif
