# SPDX-License-Identifier: BSD-3-Clause
"""What the bridge uses of csrc/, declared for Cython."""

from libc.stdint cimport int8_t, int32_t, uint8_t, uint32_t, uint64_t

cdef extern from "base/base.h" nogil:
    enum rk_status:
        RK_OK
        RK_NOMEM
        RK_INVALID
        RK_FORMAT
        RK_NONFINITE
        RK_CANCELLED

    struct rk_error:
        char text[256]

    enum rk_dtype:
        RK_FLOAT32
        RK_FLOAT64

    enum rk_isa:
        RK_N_ISA

    rk_status rk_isa_choose(rk_isa *isa, rk_error *error)
    bint rk_isa_supported(rk_isa isa)
    const char *rk_isa_name(rk_isa isa)
    int rk_threads_default()
    const char *rk_threads_runtime()

cdef extern from "program/program.h" nogil:
    struct rk_program
    struct rk_parameter:
        bint is_weight
        size_t blocks, width, columns

    rk_status rk_program_create(rk_program **program, const int32_t *words, size_t n_words,
                                rk_dtype dtype, rk_error *error)
    void rk_program_free(rk_program *program)
    size_t rk_program_n_parameters(const rk_program *program)
    const rk_parameter *rk_program_parameter(const rk_program *program, size_t index)
    size_t rk_program_n_states(const rk_program *program)
    size_t rk_program_state_width(const rk_program *program, size_t state)
    size_t rk_program_input_width(const rk_program *program)
    size_t rk_program_output_width(const rk_program *program)
    bint rk_program_can_train(const rk_program *program)
    bint rk_program_reads_flags(const rk_program *program)
    bint rk_program_has_loop_product(const rk_program *program)
    size_t rk_program_print(const rk_program *program, char *text, size_t capacity)

cdef extern from "solvers/solver.h" nogil:
    enum rk_solver_kind:
        RK_SGD
        RK_MOMENTUM
        RK_NESTEROV
        RK_ADAM
        RK_ADAMW
        RK_RMSPROP
        RK_ADAGRAD

    struct rk_solver_options:
        rk_solver_kind kind
        double beta_1, beta_2, epsilon, momentum

    struct rk_solver
    void rk_solver_free(rk_solver *solver)
    uint64_t rk_solver_n_steps(const rk_solver *solver)
    void rk_solver_set_n_steps(rk_solver *solver, uint64_t n_steps)
    size_t rk_solver_n_moments(const rk_solver *solver)

cdef extern from "heads/head.h" nogil:
    enum rk_head_kind:
        RK_SOFTMAX
        RK_SAMPLED
        RK_ADAPTIVE

cdef extern from "sampling/sampling.h" nogil:
    struct rk_draw_options:
        double temperature
        size_t top_k
        double top_p

    double rk_uniform(uint64_t seed, uint64_t stream, uint64_t position)
    int32_t rk_draw(const double *scores, size_t n, const rk_draw_options *how,
                    double uniform, int32_t *ids, double *cumulative)

cdef extern from "modelfile/checksum.h" nogil:
    uint64_t rk_checksum(const void *data, size_t n_bytes, uint64_t seed)

cdef extern from "modelfile/container.h" nogil:
    enum:
        RK_FORMAT_VERSION

    enum rk_element:
        pass

    const char *rk_element_name(rk_element element)

    struct rk_stored:
        const char *name
        rk_element element
        int rank
        size_t shape[4]
        const void *data

    struct rk_entry:
        const char *name
        const char *value
        size_t n_bytes

    struct rk_container:
        rk_stored *tensors
        rk_entry *entries
        size_t n_tensors, n_entries

    rk_status rk_container_open(rk_container *container, const void *data, size_t n_bytes,
                                rk_error *error)
    void rk_container_close(rk_container *container)

cdef extern from "modelfile/modelfile.h" nogil:
    struct rk_modelfile:
        rk_container container

    rk_status rk_modelfile_open(rk_modelfile *file, const void *data, size_t n_bytes,
                                rk_error *error)
    void rk_modelfile_close(rk_modelfile *file)

cdef extern from "network/network.h" nogil:
    enum:
        RK_MAX_LAYERS

    struct rk_network:
        rk_dtype dtype
        size_t vocab_size, embedding_size
        bint tie_weights, int8, output_bias
        rk_head_kind head
        size_t n_samples, n_clusters
        const int32_t *cutoffs
        const int32_t *cluster_widths
        size_t n_layers
        const rk_program *const *programs

    struct rk_weights
    rk_status rk_weights_create(rk_weights **weights, const rk_network *network,
                                rk_error *error)
    rk_status rk_weights_assign(rk_weights *weights, const rk_weights *source,
                                rk_error *error)
    void rk_weights_free(rk_weights *weights)
    size_t rk_weights_n_tensors(const rk_weights *weights)
    size_t rk_weights_hidden_size(const rk_weights *weights)
    rk_status rk_weights_shape(const rk_weights *weights, size_t index, size_t *rows,
                               size_t *columns, rk_error *error)
    rk_status rk_weights_get(void *plain, const rk_weights *weights, size_t index,
                             rk_error *error)
    rk_status rk_weights_set(rk_weights *weights, size_t index, const void *plain,
                             rk_error *error)
    bint rk_weights_is_int8(const rk_weights *weights, size_t index)
    rk_status rk_weights_get_int8(int8_t *codes, float *scales, const rk_weights *weights,
                                  size_t index, rk_error *error)
    rk_status rk_weights_set_int8(rk_weights *weights, size_t index, const int8_t *codes,
                                  const float *scales, rk_error *error)

    struct rk_state
    rk_status rk_state_create(rk_state **state, const rk_weights *weights,
                              const rk_program *const *programs, size_t n_layers,
                              size_t batch, rk_error *error)
    rk_status rk_state_assign(rk_state *state, const rk_state *source, rk_error *error)
    void rk_state_free(rk_state *state)
    rk_status rk_state_width(const rk_state *state, size_t layer, size_t index,
                             size_t *width, rk_error *error)
    rk_status rk_state_get(void *plain, const rk_state *state, size_t layer, size_t index,
                           rk_error *error)
    rk_status rk_state_set(rk_state *state, size_t layer, size_t index, const void *plain,
                           rk_error *error)

    struct rk_dropout:
        double embedding, weight
        const uint8_t *dropped

    struct rk_training:
        double augmented_loss, augmented_temperature
        rk_dropout dropout

    struct rk_window
    struct rk_run:
        int n_threads
        int (*poll)(void *context) noexcept
        void *poll_context

    struct rk_window_input:
        size_t n_steps, batch
        const int32_t *ids
        const int32_t *targets
        const float *target_weights
        const uint8_t *resets
        const uint8_t *active
        uint64_t seed
        uint32_t update
        void *log_probabilities

    struct rk_window_loss:
        double loss, weight_sum

    rk_status rk_window_create(rk_window **window, const rk_weights *weights,
                               const rk_program *const *programs, size_t n_layers,
                               size_t n_steps, size_t batch, const rk_training *training,
                               rk_error *error)
    void rk_window_free(rk_window *window)
    rk_status rk_window_forward(rk_window *window, rk_state *state,
                                const rk_window_input *input, const rk_run *run,
                                rk_window_loss *loss, rk_error *error)
    void rk_window_shape(const rk_window *window, size_t *n_steps, size_t *batch)
    rk_status rk_window_get_log_likelihood(void *plain, const rk_window *window,
                                           rk_error *error)
    rk_status rk_window_get_hits(uint8_t *plain, const rk_window *window, rk_error *error)
    rk_status rk_window_get_outputs(void *plain, const rk_window *window, rk_error *error)
    rk_status rk_window_log_probabilities(void *plain, rk_window *window,
                                          const int32_t *rows, size_t n_rows,
                                          const rk_run *run, rk_error *error)
    rk_status rk_window_backward(rk_window *window, const void *outputs_gradient,
                                 const rk_run *run, rk_error *error)
    rk_status rk_window_get_gradient(void *plain, const rk_window *window, size_t index,
                                     rk_error *error)
    rk_status rk_window_state_width(const rk_window *window, size_t layer, size_t index,
                                    size_t *width, rk_error *error)
    rk_status rk_window_get_initial_state_gradient(void *plain, const rk_window *window,
                                                   size_t layer, size_t index,
                                                   rk_error *error)

    rk_status rk_network_solver_create(rk_solver **solver, const rk_weights *weights,
                                       const rk_solver_options *options,
                                       const double *alpha, const uint8_t *frozen,
                                       const double (*limits)[2], rk_error *error)
    rk_status rk_network_solver_get(void *plain, const rk_solver *solver,
                                    const rk_weights *weights, size_t moment, size_t index,
                                    rk_error *error)
    rk_status rk_network_solver_set(rk_solver *solver, const rk_weights *weights,
                                    size_t moment, size_t index, const void *plain,
                                    rk_error *error)
    rk_status rk_network_accumulate(const rk_weights *weights, rk_solver *solver,
                                    rk_window *window, double rate, const rk_run *run,
                                    rk_error *error)
    rk_status rk_network_update(rk_weights *weights, rk_solver *solver, rk_window *window,
                                double learning_rate, double max_grad_norm,
                                const rk_run *run, double *norm, rk_error *error)
    rk_status rk_weights_average(rk_weights *mean, const rk_weights *weights, double rate,
                                 const rk_run *run, rk_error *error)
