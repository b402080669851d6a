/* The one user of ONNX Runtime: windows of log keys in, log-probabilities of the next key out; and
 * what other detectors ask of models of their own.
 *
 * The library is opened at run time (its wheel carries no header, and an engine that only needs
 * rules can do without it). One model may be run by several threads at once. */
#ifndef HAECHI_DETECT_MODEL_H
#define HAECHI_DETECT_MODEL_H

#include <haechi/error.h>

#include <stddef.h>
#include <stdint.h>

typedef struct hx_model hx_model;

/* library: path of libonnxruntime.so, or NULL for the loader's search path. onnx: the file's bytes;
 * not needed afterwards. The model must map int64 window [n, window] to float
 * log_probability [n, classes]; a probe run checks that. */
int hx_model_create(const char *library, const void *onnx, size_t onnx_len, uint32_t window,
                    uint32_t classes, hx_model **out, hx_error *err);
void hx_model_destroy(hx_model *model);

/* tokens: [count][window], oldest first; rows: [count][classes]. 0 or HX_EIO with the runtime's own
 * message in err. */
int hx_model_run(const hx_model *model, const int64_t *tokens, uint32_t count, float *rows,
                 hx_error *err);

/* --- any other model ---------------------------------------------------------------------------
 * One float tensor in, one out; the detector that owns it knows their names and shapes. */

#define HX_TENSOR_RANK_MAX 6

typedef struct hx_tensor_form {
    const char *name;
    uint32_t rank;
    int64_t shape[HX_TENSOR_RANK_MAX];
} hx_tensor_form;

/* As hx_model_create, without a probe: whoever made the bundle checks with a run of its own. */
int hx_model_open(const char *library, const void *onnx, size_t onnx_len, hx_model **out,
                  hx_error *err);

/* input and output have the room that the forms say. */
int hx_model_run_floats(const hx_model *model, const hx_tensor_form *in, const float *input,
                        const hx_tensor_form *out, float *output, hx_error *err);

#endif
