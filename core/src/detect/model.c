#include "detect/model.h"

#include "detect/ort.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>

struct hx_model {
    void *library;
    const void *const *api;
    OrtEnv *env;
    OrtSessionOptions *options;
    OrtMemoryInfo *memory;
    OrtSession *session;
    uint32_t window, classes;
};

#define SLOT(model, type, index) ((type)(model)->api[index])

static int from_status(const hx_model *m, OrtStatus *status, const char *what, hx_error *err)
{
    int rc;

    if (!status)
        return 0;
    rc = hx_error_set(err, HX_EIO, "ONNX Runtime: %s: %s", what,
                      SLOT(m, ort_get_error_message, ORT_GET_ERROR_MESSAGE)(status));
    SLOT(m, ort_release, ORT_RELEASE_STATUS)(status);
    return rc;
}

static int open_library(hx_model *m, const char *path, hx_error *err)
{
    const ort_api_base *(*get_base)(void);

    m->library = dlopen(path ? path : "libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!m->library)
        return hx_error_set(err, HX_EIO, "ONNX Runtime cannot be opened: %s", dlerror());
    get_base = (const ort_api_base *(*)(void))dlsym(m->library, "OrtGetApiBase");
    if (!get_base)
        return hx_error_set(err, HX_EIO, "%s is not ONNX Runtime: it has no OrtGetApiBase",
                            path ? path : "libonnxruntime.so.1");
    m->api = get_base()->get_api(ORT_API_VERSION_USED);
    if (!m->api)
        return hx_error_set(err, HX_EVERSION,
                            "ONNX Runtime %s does not offer version %d of its API",
                            get_base()->get_version_string(), ORT_API_VERSION_USED);
    return 0;
}

/* One thread and no arena: the engine runs the model from its own workers, a batch at a time, and
 * is to stay small; arena and memory pattern cost more memory than they save time at this size. */
static int set_options(hx_model *m, hx_error *err)
{
    static const struct {
        int slot, value;
    } ints[] = {
        {ORT_SET_INTRA_OP_NUM_THREADS, 1},
        {ORT_SET_INTER_OP_NUM_THREADS, 1},
        {ORT_SET_SESSION_GRAPH_OPTIMIZATION_LEVEL, ORT_ENABLE_ALL},
    };
    OrtStatus *status =
        SLOT(m, ort_create_session_options, ORT_CREATE_SESSION_OPTIONS)(&m->options);

    for (size_t i = 0; !status && i < sizeof ints / sizeof ints[0]; i++)
        status = SLOT(m, ort_options_int, ints[i].slot)(m->options, ints[i].value);
    if (!status)
        status = SLOT(m, ort_options_flag, ORT_DISABLE_CPU_MEM_ARENA)(m->options);
    if (!status)
        status = SLOT(m, ort_options_flag, ORT_DISABLE_MEM_PATTERN)(m->options);
    return from_status(m, status, "options", err);
}

static int open_session(hx_model *m, const void *onnx, size_t onnx_len, hx_error *err)
{
    OrtStatus *status =
        SLOT(m, ort_create_env, ORT_CREATE_ENV)(ORT_LOGGING_LEVEL_ERROR, "haechi", &m->env);
    int rc = from_status(m, status, "environment", err);

    if (!rc)
        rc = set_options(m, err);
    if (rc)
        return rc;
    status = SLOT(m, ort_create_session_from_array,
                  ORT_CREATE_SESSION_FROM_ARRAY)(m->env, onnx, onnx_len, m->options, &m->session);
    rc = from_status(m, status, "the model does not load", err);
    if (rc)
        return rc;
    status = SLOT(m, ort_create_cpu_memory_info, ORT_CREATE_CPU_MEMORY_INFO)(
        ORT_DEVICE_ALLOCATOR, ORT_MEM_TYPE_DEFAULT, &m->memory);
    return from_status(m, status, "memory", err);
}

/* A window of zeros must give a distribution: the model's shape and meaning are as the bundle says.
 */
static int probe(const hx_model *m, hx_error *err)
{
    int64_t *tokens = calloc(m->window, sizeof *tokens);
    float *row = calloc(m->classes, sizeof *row);
    double sum = 0;
    int rc = HX_ENOMEM;

    if (tokens && row)
        rc = hx_model_run(m, tokens, 1, row, err);
    for (uint32_t i = 0; !rc && i < m->classes; i++)
        sum += exp((double)row[i]);
    if (!rc && !(sum > 0.99 && sum < 1.01))
        rc = hx_error_set(err, HX_EMALFORMED,
                          "the model's output is no distribution: probabilities add up to %g", sum);
    free(tokens);
    free(row);
    return rc;
}

int hx_model_open(const char *library, const void *onnx, size_t onnx_len, hx_model **out,
                  hx_error *err)
{
    hx_model *m = calloc(1, sizeof *m);
    int rc;

    if (!m)
        return hx_error_set(err, HX_ENOMEM, "model: out of memory");
    rc = open_library(m, library, err);
    if (!rc)
        rc = open_session(m, onnx, onnx_len, err);
    if (rc) {
        hx_model_destroy(m);
        return rc;
    }
    *out = m;
    return 0;
}

int hx_model_create(const char *library, const void *onnx, size_t onnx_len, uint32_t window,
                    uint32_t classes, hx_model **out, hx_error *err)
{
    hx_model *m = NULL;
    int rc = hx_model_open(library, onnx, onnx_len, &m, err);

    if (rc)
        return rc;
    m->window = window;
    m->classes = classes;
    rc = probe(m, err);
    if (rc) {
        hx_model_destroy(m);
        return rc;
    }
    *out = m;
    return 0;
}

void hx_model_destroy(hx_model *model)
{
    if (!model)
        return;
    if (model->session)
        SLOT(model, ort_release, ORT_RELEASE_SESSION)(model->session);
    if (model->memory)
        SLOT(model, ort_release, ORT_RELEASE_MEMORY_INFO)(model->memory);
    if (model->options)
        SLOT(model, ort_release, ORT_RELEASE_SESSION_OPTIONS)(model->options);
    if (model->env)
        SLOT(model, ort_release, ORT_RELEASE_ENV)(model->env);
    /* The library stays open: it has threads and exit handlers of its own, and a swap of models
     * opens it again anyway. */
    free(model);
}

/* A tensor over memory that stays the caller's. */
typedef struct tensor {
    const char *name;
    void *data;
    size_t bytes;
    const int64_t *shape;
    uint32_t rank;
    int type;
} tensor;

/* The output is ours too: the runtime writes where it is wanted, and refuses if the model's own
 * shape differs. */
static int run_model(const hx_model *m, const tensor *in, const tensor *out, hx_error *err)
{
    const ort_create_tensor create =
        SLOT(m, ort_create_tensor, ORT_CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE);
    OrtValue *input = NULL, *output = NULL;
    OrtStatus *status;

    status = create(m->memory, in->data, in->bytes, in->shape, in->rank, in->type, &input);
    if (!status)
        status =
            create(m->memory, out->data, out->bytes, out->shape, out->rank, out->type, &output);
    if (!status)
        status =
            SLOT(m, ort_run, ORT_RUN)(m->session, NULL, &in->name, (const OrtValue *const *)&input,
                                      1, &out->name, 1, &output);
    if (input)
        SLOT(m, ort_release, ORT_RELEASE_VALUE)(input);
    if (output)
        SLOT(m, ort_release, ORT_RELEASE_VALUE)(output);
    return from_status(m, status, "the model does not run", err);
}

int hx_model_run(const hx_model *model, const int64_t *tokens, uint32_t count, float *rows,
                 hx_error *err)
{
    const int64_t in_shape[2] = {count, model->window}, out_shape[2] = {count, model->classes};
    const tensor in = {
        "window", (void *)tokens,  (size_t)count * model->window * sizeof *tokens, in_shape,
        2,        ORT_TENSOR_INT64};
    const tensor out = {"log_probability", rows, (size_t)count * model->classes * sizeof *rows,
                        out_shape,         2,    ORT_TENSOR_FLOAT};

    return run_model(model, &in, &out, err);
}

static size_t bytes_of(const hx_tensor_form *form)
{
    size_t bytes = sizeof(float);

    for (uint32_t i = 0; i < form->rank; i++)
        bytes *= (size_t)form->shape[i];
    return bytes;
}

int hx_model_run_floats(const hx_model *model, const hx_tensor_form *in, const float *input,
                        const hx_tensor_form *out, float *output, hx_error *err)
{
    const tensor given = {in->name,  (void *)input, bytes_of(in),
                          in->shape, in->rank,      ORT_TENSOR_FLOAT};
    const tensor wanted = {out->name,  output,    bytes_of(out),
                           out->shape, out->rank, ORT_TENSOR_FLOAT};

    return run_model(model, &given, &wanted, err);
}
