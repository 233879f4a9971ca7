/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Solvers: one step from a gradient to new parameters, on flat packed arrays. A step is two
 * passes over memory: the gradient's norm, then everything else (clip, decay, moments,
 * update, limits) at once.
 *
 * With c = min(1, max_norm / (norm + 1e-6)) when clipping (else 1), eta the learning rate
 * and t the number of the step from 1, as in PyTorch (clip_grad_norm_, torch.optim):
 *
 *   g = c * gradient (+ alpha * w, except adamw; alpha is the tensor's)
 *   sgd        w -= eta * g
 *   momentum   m = momentum * m + g;  w -= eta * m                       (heavy ball)
 *   nesterov   m = momentum * m + g;  w -= eta * (g + momentum * m)
 *   adam       m += (1 - beta_1) * (g - m);  v = beta_2 * v + (1 - beta_2) * g * g
 *              w -= eta / (1 - beta_1^t) * m / (sqrt(v) / sqrt(1 - beta_2^t) + epsilon)
 *   adamw      w *= 1 - eta * alpha, then as adam
 *   rmsprop    v = beta_2 * v + (1 - beta_2) * g * g;  w -= eta * g / (sqrt(v) + epsilon)
 *   adagrad    v += g * g;  w -= eta * g / (sqrt(v) + epsilon)
 *
 * While the learning rate is constant, momentum and nesterov make the same steps as
 * scikit-learn's MLPClassifier, whose velocity is -eta * m; when it changes, scikit-learn
 * keeps the old rate in what has been gathered, PyTorch and this file do not.
 */
#ifndef RK_SOLVER_H
#define RK_SOLVER_H

#include "kernels/kernels.h"

enum rk_solver_kind {
    RK_SGD = 0,
    RK_MOMENTUM,
    RK_NESTEROV,
    RK_ADAM,
    RK_ADAMW,
    RK_RMSPROP,
    RK_ADAGRAD,
    RK_N_SOLVERS
};

struct rk_solver_options {
    enum rk_solver_kind kind;
    double beta_1, beta_2, epsilon; /* 0 <= beta < 1, epsilon > 0, where they are used */
    double momentum;                /* momentum, nesterov: 0 <= momentum < 1 */
};

/* A part of the flat array with rules of its own; offset and n_bytes are whole panels. Its
 * gradient may come by units, most of which have none: rows of a table, which lie one after
 * the other, or of a packed weight (linalg.h). */
struct rk_solver_tensor {
    size_t offset, n_bytes;
    size_t n_units; /* where the gradient comes by units; else 0 */
    bool is_table;
    double alpha;     /* weight decay, >= 0 */
    bool is_frozen;   /* keeps its values; its gradient is not in the norm */
    double low, high; /* limits after each step; -inf, inf: none */
};

/* A gradient by tensor. Padding lanes are zero. */
struct rk_gradient {
    const char *const *values; /* laid out as the tensor, or as one of fewer units */
    const int32_t *const
        *places; /* by units: 1 + a unit's place in values; 0: it has none */
};

struct rk_solver;

/* The tensors are copied. Together they cover [0, end) of the arrays, in order. */
enum rk_status rk_solver_create(struct rk_solver **solver, const struct rk_kernels *kernels,
                                const struct rk_solver_options *options,
                                const struct rk_solver_tensor *tensors, size_t n_tensors,
                                struct rk_error *error);
void rk_solver_free(struct rk_solver *solver);

/* One step. `max_norm` 0: no clipping. *norm (OUT) is the norm before clipping, summed in
 * double in a fixed order; when it is not finite, or the team's poll asks to stop before
 * anything is written, nothing is touched, no step is counted and the status says so. The
 * poll is asked only where a step may take long. */
enum rk_status rk_solver_step(struct rk_solver *solver, char *weights,
                              const struct rk_gradient *gradient, double learning_rate,
                              double max_norm, struct rk_team *team, double *norm,
                              struct rk_error *error);

/* Takes a gradient into the mean of those accumulated: mean += rate * (gradient - mean).
 * Rate 1 begins a new mean; weight / sum of weights so far gives the weighted mean. */
enum rk_status rk_solver_accumulate(struct rk_solver *solver,
                                    const struct rk_gradient *gradient, double rate,
                                    struct rk_team *team, struct rk_error *error);
/* The mean as a gradient, NULL where there is none. Until the next accumulation. */
const struct rk_gradient *rk_solver_accumulated(const struct rk_solver *solver);

const struct rk_solver_tensor *rk_solver_tensors(const struct rk_solver *solver, size_t *n);
/* What a solver remembers: the number of steps made so far, and its moments (0 to 2 of
 * them), laid out as the weights. */
uint64_t rk_solver_n_steps(const struct rk_solver *solver);
void rk_solver_set_n_steps(struct rk_solver *solver, uint64_t n_steps);
size_t rk_solver_n_moments(const struct rk_solver *solver);
char *rk_solver_moment(const struct rk_solver *solver, size_t moment);

#endif
